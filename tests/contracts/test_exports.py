"""The documented names, frozen: a rename or a removal has to change this list on purpose.

Attributes that are not methods are listed without parentheses. A signature lists only the names of
its parameters; those after `*` are keyword-only.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import ModuleType

import pytest

import transport
import transport.client
import transport.client.websocket
import transport.testing

CLIENT_SOURCES = Path(__file__).parents[2] / "client_js" / "src"

NAMES = {
    transport: (
        "Hub Channel Group Limits Identity Store MemoryStore Workers RedisStore ChannelError "
        "ChannelClosed Busy Stalled StoreUnavailable Unsendable TooLarge NotRead Unreachable "
        "SessionReset Unacknowledged Fate ChannelStatistics HubStatistics as_websocket connect"
    ),
    transport.client: "Attempt Channel ClientStatistics Pacing connect",
    transport.client.websocket: "ClientConnection Refused connect",
    transport.testing: (
        "drive Page JumpingEventLoop cluster Cluster Pair Faults ask request started "
        "whole stream socket denied Answer Stream Socket Connection scope_of opening lines until"
    ),
}

SURFACES = {
    transport.Hub: """
        (handler, *, store, limits, authenticate, origins, transports, on_error, encoder,
        console, name)
        broadcast(message) channels close_user(subject) drain() group(name) lifespan(app) limits
        send_to(channel_id, message) statistics()
    """,
    transport.Channel: """
        acknowledged(number) close(code, reason) connected flush() id partial receive() resumed
        scope send(message) state statistics() transport user wait_closed() wait_connected()
        wait_disconnected()
    """,
    transport.Group: "add(channel) discard(channel) name send(message)",
    transport.Limits: """
        (*, message, depth, batch, window_messages, window_bytes, unstored, headers, memory,
        control_per_second, frames_per_turn, opening, heartbeat, poll_hold, stream, ttl, away,
        tombstone, nonce, closing, stall, renewal, ack_delay, answer_wait, step, drain_window,
        drain_grace, sessions, sessions_per_subject, sessions_per_address, opens_per_second)
        ack_delay advertised_limits() advertised_timings() answer_wait away batch body closing
        control_per_second depth drain_grace drain_window frames_per_turn headers heartbeat
        memory message nonce opening opens_per_second poll_hold renewal sessions
        sessions_per_address sessions_per_subject stall step stream tombstone ttl unstored
        window_bytes window_messages
    """,
    transport.Identity: "(subject, user, expires) expires subject user",
    transport.MemoryStore: """
        (*, tombstones) epoch find(session_id, now) forget(session_id)
        open(nonce, record, now, keep) save_tombstone(session_id, tombstone, until) shared
        sweep(now)
    """,
    transport.Workers: "(directory) join(hub, limits)",
    transport.RedisStore: "(redis, *, prefix) join(hub, limits) sessions topics(hub, limits)",
    transport.ChannelClosed: "(code, reason, channel) channel code reason",
    transport.SessionReset: "(reason, lost, dropped) dropped lost reason",
    transport.Unacknowledged: "(number, fate) fate number",
    transport.Unreachable: "(reasons, url) reasons",
    transport.ChannelStatistics: """
        (sent, acknowledged, buffered, buffered_bytes, received, handled, replayed, attaches)
        acknowledged attaches buffered buffered_bytes handled received replayed sent
    """,
    transport.HubStatistics: """
        (sessions, connections, opened, resets, refused, sent, received, replayed, memory,
        memory_reached, processes, store)
        connections memory memory_reached opened processes received refused replayed resets sent
        sessions store
    """,
    transport.client.connect: """
        (url, *, transports, credentials, headers, origin, limits, timeout, verify, proxy,
        trust_env, pacing, encoder, on_unreachable)
    """,
    transport.client.websocket.connect: """
        (uri, *, origin, extensions, subprotocols, compression, additional_headers,
        user_agent_header, proxy, ssl, process_exception, open_timeout, ping_interval, ping_timeout,
        close_timeout, reconnect_delays, max_size, max_queue, write_limit, logger, transports,
        credentials, pacing, on_unreachable)
    """,
    transport.client.websocket.ClientConnection: """
        channel close(code, reason) close_code close_reason id latency local_address logger
        ping(data) pong(data) recv(decode) recv_streaming(decode) remote_address request response
        send(message, *, text) state subprotocol wait_closed()
    """,
    transport.client.websocket.Refused: "(status, reason) reason",
    transport.client.Channel: """
        acknowledged(number) close(code, reason) connected explain() flush() id phase receive()
        reconnect() resume() send(message) state statistics() suspend() transport transports
    """,
    transport.testing.Cluster: """
        choose cut(index, other) delay go_on(index) is_stalled kill(index) shut_down(index) start()
        stop(index)
    """,
    transport.client.Pacing: """
        (*, open_timeout, post_timeout, retry_base, retry_max, steady, fallback_for, queue_messages,
        queue_bytes)
        fallback_for open_timeout post_timeout queue_bytes queue_messages retry_base retry_max
        steady
    """,
    transport.client.Attempt: """
        (transport, outcome, reason, seconds) outcome reason seconds transport
    """,
    transport.client.ClientStatistics: """
        (sent, acknowledged, buffered, buffered_bytes, received, handled, replayed, recovered,
        attaches, resets)
        acknowledged attaches buffered buffered_bytes handled received recovered replayed resets
        sent
    """,
}

NOT_CONSTRUCTED_BY_USERS = {
    transport.Channel,
    transport.Group,
    transport.client.Channel,
    transport.client.websocket.ClientConnection,
    transport.testing.Cluster,
}
"""Classes that applications receive and never construct."""

CLIENT_EXPORTS = {
    "index.ts": "Channel ChannelError",
    "global.ts": "Channel ChannelError",
    "reload.ts": "acrossReloads",
    "websocket.ts": "FallbackWebSocket install",
    "websocket_global.ts": "Channel ChannelError FallbackWebSocket install",
    "react.ts": "useChannel useChannelEvent useChannelState useMessages",
}


def parameters(function: Callable[..., object]) -> str:
    signature = inspect.signature(function)
    shown, by_name = [], False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not by_name:
            by_name = True
            shown.append("*")
        shown.append(parameter.name)
    return f"({', '.join(shown)})"


def attributes(kind: type) -> set[str]:
    """Return the public names of a class: methods, properties, slots and fields."""
    names = {field.name for field in fields(kind)} if is_dataclass(kind) else set()
    for one in kind.__mro__:
        if one.__module__.startswith("transport"):
            names |= set(vars(one))
            names |= set(re.findall(r"self\.(\w+)(?:: .*?)? = ", inspect.getsource(one)))
    return {name for name in names if not name.startswith("_")}


def surface(kind: type) -> list[str]:
    shown = [] if kind in NOT_CONSTRUCTED_BY_USERS else [parameters(kind)]
    for name in attributes(kind):
        member = inspect.getattr_static(kind, name, None)
        shown.append(name + parameters(member) if inspect.isfunction(member) else name)
    return sorted(shown)


def listed(text: str) -> list[str]:
    return sorted(re.findall(r"\w*\([^)]*\)|\w+", " ".join(text.split())))


@pytest.mark.parametrize("module", NAMES, ids=lambda module: module.__name__)
def test_exports_match_documented_names(module: ModuleType) -> None:
    names = NAMES[module].split()
    assert list(vars(module)["__all__"]) == names
    for name in names:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("kind", SURFACES, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_public_classes_match_documented_members(kind: type) -> None:
    assert surface(kind) == listed(SURFACES[kind])


@pytest.mark.parametrize("name", CLIENT_EXPORTS)
def test_browser_exports_match_documented_names(name: str) -> None:
    source = (CLIENT_SOURCES / name).read_text("utf-8")
    exported = re.findall(
        r"^export (?:async )?(?:function|class|const) (\w+)", source, re.MULTILINE
    )
    for names in re.findall(r"^(?:export|.* onechannel\b.* =) \{ (.*?) \}", source, re.MULTILINE):
        exported += names.split(", ")
    assert sorted(set(exported)) == CLIENT_EXPORTS[name].split()  # overloads repeat a name


ONE_CLIENT_ONLY = {
    "steady": "a browser keeps what it has learnt of a transport across channels (penalties)",
    "headStart": "the Python client tries one transport after the other",
    "withCredentials": "only browsers keep cookies from the server",
}
"""Options that the other client does not have, each with the reason."""


def test_options_of_both_clients_have_one_name() -> None:
    source = (CLIENT_SOURCES / "options.ts").read_text("utf-8")
    interface = source.partition("export interface ChannelOptions {")[2].partition("\n}")[0]
    browser = set(re.findall(r"^  (\w+)\?: ", interface, re.MULTILINE))
    names = {*(one.name for one in fields(transport.client.Pacing)), "transports", "credentials"}
    python = {re.sub("_(.)", lambda found: found[1].upper(), name) for name in names}
    assert python ^ browser == set(ONE_CLIENT_ONLY)
