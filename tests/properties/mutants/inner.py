"""The mutants of `as_websocket`, each with a test that must detect it."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.properties.mutants.mutant import TestedMutant
from tests.unit.server.inner import (
    test_answers,
    test_audiences,
    test_ends,
    test_messages,
    test_scope,
)
from transport.server import inner_scope
from transport.server.as_websocket import WebSocketHandler
from transport.server.inner_connection import InnerConnection
from transport.server.runner import Runner

_LOG: Any = None
"""In the place of pytest's `caplog`, which these tests use only where they have failed before."""

_keeps = test_scope.test_scope_keeps_what_describes_the_page

INNER = [
    TestedMutant(
        inner_scope,
        "inner_scope",
        name="content-length-kept",
        rule="a header of the opening POST reaches the application",
        old="not in _OF_THE_OPENING",
        new="not in _OF_THE_OPENING - {b'content-length'}",
        test=_keeps,
    ),
    TestedMutant(
        inner_scope,
        "inner_scope",
        name="raw-path-left",
        rule="raw_path is not that of path",
        old='scope["raw_path"] += b"/"',
        new="pass",
        test=_keeps,
    ),
    TestedMutant(
        inner_scope,
        "inner_scope",
        name="spec-version-of-http",
        rule="the version of the specification is that of HTTP",
        old='"spec_version": SPEC_VERSION',
        new='"spec_version": "2.3"',
        test=_keeps,
    ),
    TestedMutant(
        inner_scope,
        "inner_scope",
        name="scheme-of-http",
        rule="the scheme is that of the opening POST",
        old="_SCHEMES.get(scheme, scheme)",
        new="scheme",
        test=_keeps,
    ),
    TestedMutant(
        inner_scope,
        "inner_scope",
        name="user-replaced",
        rule="the user of a middleware is replaced",
        old='scope.setdefault("user", user)',
        new='scope["user"] = user',
        test=test_scope.test_user_of_middleware_is_kept,
    ),
    TestedMutant(
        WebSocketHandler,
        "_run",
        name="disconnect-while-open",
        rule="a WebSocketDisconnect of another connection is no failure",
        old=" and connection.is_closed",
        new="",
        test=partial(test_ends.test_websocket_disconnect_of_open_connection_fails, _LOG),
    ),
    TestedMutant(
        WebSocketHandler,
        "_run",
        name="failure-not-denied",
        rule="TGT-1: an application that fails before its answer gives none",
        old="await connection.fail()",
        new="pass",
        test=partial(test_answers.test_target_of_failing_application_is_denied, False, _LOG),
    ),
    TestedMutant(
        InnerConnection,
        "_deny",
        name="denial-untold",
        rule="TGT-1: a denial is a close without message 1",
        old='await self._send({"deny": status})',
        new="pass",
        test=partial(test_answers.test_target_is_denied_by_message_1, "websocket"),
    ),
    TestedMutant(
        InnerConnection,
        "receive",
        name="message-before-accept",
        rule="an application is given messages before it has accepted",
        old="self._sending is not _ACCEPTED and self._is_undecided",
        new="False",
        test=test_messages.test_receive_before_accept_gets_no_message,
    ),
    TestedMutant(
        InnerConnection,
        "_disconnected",
        name="expiry-with-code-of-table",
        rule="the end of an expired session is not 1006",
        old="ABNORMAL if is_reset else error.code",
        new="error.code",
        test=test_ends.test_expired_session_disconnects_with_1006,
    ),
    TestedMutant(
        InnerConnection,
        "_send",
        name="stall-raised",
        rule="DAT-6: a send to a page that stalls fails, where a WebSocket waits",
        old="continue",
        new="raise",
        test=test_messages.test_send_waits_for_window_of_stalled_page,
    ),
    TestedMutant(
        InnerConnection,
        "finish",
        name="return-is-normal",
        rule="an application that returns without a close has closed in order",
        old="codes.INTERNAL.close_code",
        new="1000",
        test=partial(test_ends.test_return_without_close_closes_with_1011, _LOG),
    ),
    TestedMutant(
        Runner,
        "start",
        name="heard-before-accept",
        rule="TGT-1: a broadcast before the accept becomes message 1",
        old="driver.accepted = application.serve_target is None",
        new="driver.accepted = True",
        test=test_audiences.test_sends_of_hub_do_not_reach_a_denied_page,
    ),
    TestedMutant(
        Runner,
        "drain",
        name="drain-hands-over",
        rule="a server that stops hands over what only it can serve",
        old="not self._ends_in_drain",
        new="True",
        test=partial(test_ends.test_drain_closes_with_1012, "websocket"),
    ),
    TestedMutant(
        Runner,
        "drain",
        name="drain-tells-as-handled",
        rule="CLS-3: a drain tells the message in hand as handled",
        old="failed=True",
        new="failed=False",
        test=test_ends.test_drain_tells_no_busy_message_as_handled,
    ),
]
