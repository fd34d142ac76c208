"""Mutants: rules of the cores that are broken on purpose, one at a time. The vectors of the side
that is broken must notice each, and so must the machine (`tests/protocol/test_machine.py`), but
where it is said why it cannot. One that survives fails here, and so does one that cannot be made,
because the line that it changes is no more what it was.

The TypeScript core is broken in its source, and has the vectors alone.
"""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from types import ModuleType
from typing import Any

import pytest

from tests.protocol.schedules.schedule import play, schedule
from tests.protocol.test_vectors import CLIENT_SESSIONS, SESSIONS
from tests.protocol.test_vectors import test_client_session as run_client_vector
from tests.protocol.test_vectors import test_session as run_vector
from transport.protocol.client import answers, outbox, uplink
from transport.protocol.client import session as client
from transport.protocol.client.acks import AckSchedule
from transport.protocol.client.buffer import WaitingBuffer
from transport.protocol.client.handshake import Handshake
from transport.protocol.client.outbox import Outbox
from transport.protocol.client.session import ClientSession
from transport.protocol.receive_window import ReceiveCursor
from transport.protocol.send_buffer import SendBuffer
from transport.protocol.server import session
from transport.protocol.server.attachments import Attachments
from transport.protocol.server.downlink import Downlink
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import Tombstone

SCHEDULES = 300
"""That the machine has to notice a mutant: about a second' worth."""
FIRST = {
    "server-opened-though-closed": 490,
    "server-poll-of-any-number": 310,
    "client-older-attach-kept": 250,
    "client-another-session-taken": 480,
}
"""The seed to begin with, for what few schedules notice."""

SIDES = {"server": (session,), "client": (client, outbox)}
SHARED: dict[str, dict[str, type]] = {
    "server": {"ReceiveCursor": ReceiveCursor, "SendBuffer": SendBuffer},
    "client": {"ReceiveCursor": ReceiveCursor, "SendBuffer": WaitingBuffer},
}
"""Classes of both sides, of which only one side's is broken; and the one that it really has."""


@dataclass(frozen=True)
class Mutant:
    """A rule, and the words of a method or function that are changed to break it."""

    name: str
    rule: str
    where: type | ModuleType
    method: str
    old: str
    new: str
    unseen: str = ""
    """Why the machine cannot notice it."""


def server(*of: str, unseen: str = "") -> Mutant:
    return _mutant(ServerSession, *of, unseen=unseen)


def _mutant(where: type | ModuleType, *of: str, unseen: str = "") -> Mutant:
    name, rule, method, old, new = of
    return Mutant(name, rule, where, method, old, new, unseen)


SERVER = [
    _mutant(
        ReceiveCursor,
        "dedupe-off",
        "NUM-3: a repetition is taken again",
        "repeated",
        "return min(count, expected - seq)",
        "return 0",
    ),
    _mutant(
        ReceiveCursor,
        "gap-taken",
        "NUM-3: a number is missing, and what is behind it is taken",
        "repeated",
        "raise Gap(expected)",
        "return 0",
        unseen="no client ever leaves a gap: that it is refused is told by the vectors",
    ),
    _mutant(
        ReceiveCursor,
        "ack-early",
        "MRK-3: what is received is acknowledged, before the handler has finished with it",
        "take",
        "self.received = last",
        "self.received = self.handled = last",
    ),
    _mutant(
        ReceiveCursor,
        "window-ignored",
        "DAT-6: more is taken than the window holds",
        "take",
        "many = last - self.handled > limits.window_messages",
        "many = False",
        unseen="no client ever exceeds the window: that it is refused is told by the vectors",
    ),
    _mutant(
        Attachments,
        "old-open-attaches",
        "ATT-4: the attach number of an open is ignored",
        "_check_number",
        "frame.attach <= self._confirmed",
        "False",
    ),
    _mutant(
        Attachments,
        "attach-number-ignored",
        "ATT-3: no attach ends another",
        "confirm",
        "other.number <= attachment.number",
        "False",
    ),
    _mutant(
        Attachments,
        "confirmed-by-opening",
        "ATT-2: an attach has the session at once, before its client knows",
        "attach",
        "self.live.append(attachment)",
        "self.live.append(attachment); self.confirm(attachment)",
    ),
    _mutant(
        Attachments,
        "data-before-confirmation",
        "ATT-3: a provisional attach may send",
        "check_may_send",
        "attachment.verdict is Verdict.RESUMED",
        "False",
        unseen="both clients confirm first: that the others are refused is told by the vectors",
    ),
    _mutant(
        Attachments,
        "data-of-another-before-confirmation",
        "OPN-7: so may one of which another client has taken the session",
        "check_may_send",
        "attachment.client != self.owner",
        "False",
        unseen="both clients confirm first: that the others are refused is told by the vectors",
    ),
    _mutant(
        SendBuffer,
        "trimmed-on-write",
        "NUM-4: what was written is forgotten",
        "frames",
        "limits = self._limits\n",
        "limits = self._limits; self.acknowledge(self.last)\n",
    ),
    _mutant(
        SendBuffer,
        "any-mark-taken",
        "MRK-5: a mark above all that was written is taken for an ack",
        "check",
        "number > self.sent",
        "False",
        unseen="no client ever sends such a mark: what becomes of one is told by the vectors",
    ),
    _mutant(
        Attachments,
        "takeover-that-lies",
        "ATT-6: another client waits to be confirmed, though the session has moved",
        "end_other_clients",
        "if one.client != self.owner",
        "if False",
    ),
    _mutant(
        Attachments,
        "takeover-of-what-is-trimmed",
        "ATT-6: another client is let in that misses what was acknowledged",
        "confirm",
        "self._outgoing.acked > attachment.client_received",
        "False",
    ),
    _mutant(
        Attachments,
        "opened-though-foreign",
        "ATT-6: another client is let in that holds numbers of which others were taken",
        "refusal",
        "frame.first_retained <= incoming.received or",
        "",
    ),
    _mutant(
        Attachments,
        "opened-though-closed",
        "ATT-6: another client is let in though the holder has closed",
        "refusal",
        "or peer_closed",
        "",
    ),
    _mutant(
        Tombstone,
        "tombstone-for-anybody",
        "ATT-6: marks of one client's messages are told to another",
        "answer",
        "frame.client != self.owner",
        "False",
    ),
    _mutant(
        Attachments,
        "resend-from-the-ack",
        "RES-1: what the client has said that it holds is written again",
        "attach",
        "cursor=max(received, self._outgoing.acked) + 1",
        "cursor=self._outgoing.acked + 1",
    ),
    _mutant(
        Attachments,
        "resend-behind-the-mark",
        "RES-1: the first message above the client's mark is left out",
        "attach",
        "cursor=max(received, self._outgoing.acked) + 1",
        "cursor=max(received, self._outgoing.acked) + 2",
    ),
    _mutant(
        Downlink,
        "poll-cursor-popped",
        "POL-2: what one poll was given, no other is given again",
        "begin_poll",
        "attachment.cursor = frame.ack + 1",
        "attachment.cursor = max(attachment.cursor, frame.ack + 1)",
    ),
    server(
        "poll-of-any-number",
        "POL-2: an older poll that comes late ends the newer",
        "poll",
        "frame.poll < attachment.poll",
        "False",
    ),
    server(
        "skip-not-counted",
        "DAT-5: a skip takes no number",
        "_receive_control",
        "self._receive_messages(attachment, frame.number, frame.ack, [_SKIPPED], 0)",
        "self._acknowledge(frame.ack)",
    ),
    server(
        "skip-is-a-message",
        "DAT-5: the handler is given what was skipped",
        "receive_nowait",
        "message is not _SKIPPED",
        "True",
    ),
    _mutant(
        Tombstone,
        "lost-range-wrong",
        "RES-2: what the client holds is told to be lost",
        "verdict",
        "[received + 1, self.last]",
        "[received, self.last]",
        unseen="a client begins the range above what it holds (RES-4): so it mends this one",
    ),
    _mutant(
        Tombstone,
        "lost-range-short",
        "RES-2: the last that was lost is not told",
        "verdict",
        "[received + 1, self.last]",
        "[received + 1, self.last - 1]",
    ),
    _mutant(
        Tombstone,
        "in-hand-not-told",
        "RES-2: what was in the handler's hand is told not to be handled",
        "verdict",
        "in_hand=self.in_hand",
        "in_hand=self.handled",
    ),
    server(
        "failed-in-hand-not-told",
        "CLS-3: so is what the handler failed with",
        "close",
        "incoming.handed if incoming.handed > handled else UNSET",
        "UNSET",
    ),
    server(
        "failed-is-handled",
        "CLS-3: what the handler failed with is told to be handled",
        "close",
        "handled = incoming.handled if failed else incoming.handed",
        "handled = incoming.handed",
    ),
    server(
        "close-does-not-wait",
        "CLS-4: the session is over before the client has everything up to `last`",
        "_end_if_acknowledged",
        "self.outgoing.acked >= close.last",
        "True",
    ),
    server(
        "close-ahead-of-messages",
        "CLS-2: the handler's iteration ends before everything up to `last` has come",
        "receive_nowait",
        "self.peer_close is not None and incoming.received >= self.peer_close.last",
        "self.peer_close is not None",
        unseen="no client's close overtakes its messages (SND-1): the vectors send one that does",
    ),
]


def page(*of: str, unseen: str = "") -> Mutant:
    return _mutant(ClientSession, *of, unseen=unseen)


CLIENT = [
    _mutant(
        ReceiveCursor,
        "dedupe-off",
        "NUM-3: a repetition is taken again",
        "repeated",
        "return min(count, expected - seq)",
        "return 0",
    ),
    _mutant(
        ReceiveCursor,
        "gap-taken",
        "NUM-3: a number is missing, and what is behind it is taken",
        "repeated",
        "raise Gap(expected)",
        "return 0",
        unseen="a server leaves no gap: that one is refused is told by the vectors",
    ),
    _mutant(
        AckSchedule,
        "ack-early",
        "MRK-3: the next message is acknowledged before it has come",
        "mark",
        "link.acked = self.incoming.received",
        "link.acked = self.incoming.received + 1",
    ),
    page(
        "attach-number-ignored",
        "ATT-3: every attach carries data, not the newest alone",
        "leads",
        "link.attach == self._confirmed and",
        "",
    ),
    page(
        "older-attach-confirmed",
        "ATT-3: an attach is confirmed below one that was",
        "transmit",
        "and link.attach > self._confirmed",
        "",
    ),
    page(
        "older-attach-kept",
        "ATT-3: an older attach stands when the newest is lost, and carries nothing",
        "_drop",
        "if one.attach < self._confirmed",
        "if False",
    ),
    _mutant(
        uplink,
        "data-before-confirmation",
        "ATT-3: data goes ahead of the ack that confirms",
        "websocket_frames",
        "[ack_frame(source, link)] if confirms else []",
        "[]",
    ),
    page(
        "takeover-ignored",
        "ATT-5: a client that another has superseded comes again",
        "_superseded",
        "0 < self._confirmed < attach",
        "False",
    ),
    page(
        "refused-for-good",
        "ATT-5, ATT-6: a client whose confirmation was refused stops",
        "_superseded",
        "0 < self._confirmed < attach",
        "self._confirmed > 0",
        unseen="a client that stops does no wrong: that it could go on is told by the vectors",
    ),
    page(
        "opened-above-what-was-sent",
        "RES-6: a session that has taken what was never sent is resumed",
        "_opened",
        "self.outbox.check(max(frame.received, frame.handled))",
        "pass",
        unseen="ATT-6 has the server refuse such a client: it is the second net, for another's",
    ),
    _mutant(
        SendBuffer,
        "any-mark-taken",
        "MRK-5: a mark above all that was written is taken for an ack",
        "check",
        "number > self.sent",
        "False",
        unseen="no server ever sends such a mark: what becomes of one is told by the vectors",
    ),
    _mutant(
        Handshake,
        "another-session-taken",
        "OPN-4: the second of two opens that raced led to another session, and is taken for this",
        "is_answer",
        "frame.id == self.id",
        "True",
    ),
    _mutant(
        Handshake,
        "nonce-kept",
        "OPN-3: a nonce that has led to a session is used for the next",
        "complete",
        "self._nonce = None",
        "pass",
    ),
    _mutant(
        WaitingBuffer,
        "trimmed-on-write",
        "NUM-4: what was written is forgotten",
        "put",
        "self.in_flight += size",
        "self.in_flight += size; SendBuffer.acknowledge(self, number)",
    ),
    _mutant(
        WaitingBuffer,
        "window-ignored",
        "DAT-6: more is put on a wire than the window holds",
        "peek",
        "number > self.sent > self.acked",
        "False",
    ),
    page(
        "resend-from-the-ack",
        "RES-1: what the server has said that it holds is written again",
        "_opened",
        "link.next = frame.received + 1",
        "link.next = frame.handled + 1",
    ),
    page(
        "resend-behind-the-mark",
        "RES-1: the first message above the server's mark is left out",
        "_opened",
        "link.next = frame.received + 1",
        "link.next = frame.received + 2",
    ),
    _mutant(
        answers,
        "lost-post-forgotten",
        "SND-1: what a POST took along is not repeated",
        "_put_back",
        "link.next = post.next",
        "pass",
    ),
    _mutant(
        Outbox,
        "skip-not-written",
        "DAT-5: a message that was refused is sent again",
        "skip",
        "size = self.buffer.skip(number)",
        "size = number",
    ),
    page(
        "behind-the-refused-lost",
        "DAT-4: what followed a refused message is not sent again",
        "_fail",
        "link.next = min(link.next, number)",
        "pass",
    ),
    _mutant(
        Outbox,
        "in-hand-is-not-handled",
        "RES-3: what may have been handled is told not to be",
        "fates",
        "(low + 1, high, Fate.UNKNOWN)",
        "(low + 1, high, Fate.NOT_HANDLED)",
    ),
    _mutant(
        Outbox,
        "not-handled-is-unknown",
        "RES-3: what was certainly not handled is told to be unknown",
        "fates",
        "(high + 1, buffer.last, Fate.NOT_HANDLED)",
        "(high + 1, buffer.last, Fate.UNKNOWN)",
    ),
    _mutant(
        Outbox,
        "all-in-flight-is-unknown",
        "RES-3: what was behind the message in hand is told to be unknown",
        "fates",
        "min(in_hand, buffer.sent)",
        "buffer.sent",
    ),
    _mutant(
        Outbox,
        "handled-is-unknown",
        "RES-3: what was handled is told to be unknown",
        "fates",
        "(buffer.acked + 1, low, Fate.HANDLED)",
        "(buffer.acked + 1, low, Fate.UNKNOWN)",
    ),
    _mutant(
        AckSchedule,
        "lost-though-held",
        "RES-4: what is held is told to be lost",
        "clip_lost_range",
        "max(lost[0], self.incoming.received + 1)",
        "lost[0]",
    ),
    page(
        "resent-into-the-new-session",
        "RES-3: what the old session had not handled goes into the new",
        "_reset",
        "self.outbox.start_over(self.terms)",
        "self.outbox.buffer.sent = self.outbox.buffer.acked",
    ),
    page(
        "close-does-not-wait",
        "CLS-4: the client is over before it has everything up to `last`",
        "_end_if_complete",
        "received < close.last and not late",
        "False",
        unseen="a server's close is behind its messages: the vectors send one that is not",
    ),
    _mutant(
        uplink,
        "close-ahead-of-messages",
        "CLS-1: the close names a `last` below what is still to be sent",
        "fill",
        "closing and not link.close_written and link.next > source.outbox.buffer.last",
        "closing and not link.close_written",
    ),
    _mutant(
        Handshake,
        "epoch-forgotten",
        "EPO-1: the life of the store is not told back",
        "complete",
        "self.epoch = frame.epoch",
        "pass",
    ),
]


def vectors(side: str) -> Iterator[Callable[[], None]]:
    run, of = (run_vector, SESSIONS) if side == "server" else (run_client_vector, CLIENT_SESSIONS)
    for one in of:
        yield partial(run, one.values[0])


def schedules(first: int = 0) -> Iterator[Callable[[], None]]:
    for seed in range(first, first + SCHEDULES):
        yield partial(play, schedule(seed))


def notices(cases: Iterator[Callable[[], None]]) -> int:
    """Which of the cases is the first to fail, by whatever it is; 0 where none does."""
    for number, case in enumerate(cases, 1):
        try:
            case()
        except Exception:  # noqa: BLE001 - a test may fail in any way
            return number
    return 0


def apply(mutant: Mutant, side: str, patch: pytest.MonkeyPatch) -> None:
    """Break it; only one side's, where both have the class."""
    method = inspect.getattr_static(mutant.where, mutant.method)
    source = textwrap.dedent(inspect.getsource(method))
    assert source.count(mutant.old) == 1, f"{mutant.name} cannot be made: {mutant.old!r} is gone"
    names: dict[str, Any] = {}
    where = mutant.where
    module = where if isinstance(where, ModuleType) else sys.modules[where.__module__]
    exec(source.replace(mutant.old, mutant.new), vars(module), names)
    broken = names[mutant.method]
    for name, real in SHARED[side].items():
        if isinstance(where, type) and issubclass(real, where):
            body = {"__slots__": (), mutant.method: broken}
            for user in SIDES[side]:
                if hasattr(user, real.__name__):
                    patch.setattr(user, real.__name__, type(name, (real,), body))
            return
    patch.setattr(where, mutant.method, broken)


CASES = [
    pytest.param(mutant, side, id=f"{side}-{mutant.name}")
    for side, mutants in (("server", SERVER), ("client", CLIENT))
    for mutant in mutants
]


@pytest.mark.parametrize(("mutant", "side"), CASES)
def test_no_mutant_survives(mutant: Mutant, side: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        apply(mutant, side, patch)
        assert notices(vectors(side)), f"the vectors do not notice: {mutant.rule}"
        if mutant.unseen:
            return
        first = FIRST.get(f"{side}-{mutant.name}", 0)
        assert notices(schedules(first)), f"the machine does not notice: {mutant.rule}"


# The TypeScript core


@dataclass(frozen=True)
class Changed:
    """A rule, and the words of a source that are changed to break it."""

    name: str
    rule: str
    source: str
    old: str
    new: str


BROWSER = [
    Changed(*of)
    for of in (
        (
            "dedupe-off",
            "NUM-3: a repetition is taken again",
            "session.ts",
            "messages.slice(received + 1 - seq)",
            "messages",
        ),
        (
            "gap-taken",
            "NUM-3: a number is missing, and what is behind it is taken",
            "session.ts",
            "seq > received + 1",
            "false",
        ),
        (
            "ack-early",
            "MRK-3: the next message is acknowledged before it has come",
            "acks.ts",
            "return this.received;",
            "return this.received + 1;",
        ),
        (
            "attach-number-ignored",
            "ATT-3: every attach carries data, not the newest alone",
            "session.ts",
            "return link.attach === this.confirmed && this._links.has(link);",
            "return this._links.has(link);",
        ),
        (
            "older-attach-confirmed",
            "ATT-3: an attach is confirmed below one that was",
            "session.ts",
            "link.attach > this.confirmed && this._links",
            "link.attach !== this.confirmed && this._links",
        ),
        (
            "older-attach-kept",
            "ATT-3: an older attach stands when the newest is lost, and carries nothing",
            "session.ts",
            "older.attach < this.confirmed",
            "false",
        ),
        (
            "takeover-ignored",
            "ATT-5: a client that another has superseded comes again",
            "session.ts",
            "attach > (this.confirmed || attach)",
            "false",
        ),
        (
            "refused-for-good",
            "ATT-5, ATT-6: a client whose confirmation was refused stops",
            "session.ts",
            "attach > (this.confirmed || attach)",
            "this.confirmed",
        ),
        (
            "opened-above-what-was-sent",
            "RES-6: a session that has taken what was never sent is resumed",
            "session.ts",
            "this.outbox.check(Math.max(received, handled));",
            "",
        ),
        (
            "any-mark-taken",
            "MRK-5: a mark above all that was written is taken for an ack",
            "outbox.ts",
            "if (mark >= this.buffer.next) throw",
            "if (false) throw",
        ),
        (
            "another-session-taken",
            "OPN-4: the second of two opens that raced led to another session, and is taken",
            "session.ts",
            "|| frame.id === this.id",
            "|| true",
        ),
        (
            "trimmed-on-write",
            "NUM-4: what was written is forgotten",
            "buffer.ts",
            "this.bytes += entry.size;",
            "this.bytes += entry.size;\n    this.acknowledge(number);",
        ),
        (
            "window-ignored",
            "DAT-6: more is put on a wire than the window holds",
            "buffer.ts",
            "numbered >= limits.window_messages ||",
            "",
        ),
        (
            "resend-behind-the-mark",
            "RES-1: the first message above the server's mark is left out",
            "session.ts",
            "link.next = received + 1;",
            "link.next = received + 2;",
        ),
        (
            "lost-post-forgotten",
            "SND-1: what a POST took along is not repeated",
            "answers.ts",
            "link.next = post.next;",
            "",
        ),
        (
            "skip-not-written",
            "DAT-5: a message that was refused is sent again",
            "buffer.ts",
            "entry.skipped = true;",
            "",
        ),
        (
            "all-in-flight-is-unknown",
            "RES-3: what was behind the message in hand is told to be unknown",
            "outbox.ts",
            "|| number > (inHand ?? Infinity)",
            "",
        ),
        (
            "handled-is-unknown",
            "RES-3: what was handled is told to be unknown",
            "outbox.ts",
            "number <= (handled ?? 0)",
            "false",
        ),
        (
            "lost-though-held",
            "RES-4: what is held is told to be lost",
            "acks.ts",
            "Math.max(first, this.received + 1)",
            "first",
        ),
        (
            "close-does-not-wait",
            "CLS-4: the client is over before it has everything up to `last`",
            "session.ts",
            "(received < close.last && !late)",
            "false",
        ),
        (
            "close-ahead-of-messages",
            "CLS-1: the close names a `last` below what is still to be sent",
            "uplink.ts",
            "&& link.next > outbox.buffer.last",
            "",
        ),
    )
]

CLIENT_JS = Path(__file__).parents[1] / "client_js"
VECTORS = "vectors.test"


@pytest.fixture(scope="module")
def bundles() -> Iterator[Path]:
    """A bundle of the vectors with each mutant, and one of what is not mutated."""
    (CLIENT_JS / ".build").mkdir(exist_ok=True)
    folder = Path(mkdtemp(prefix="mutants-", dir=CLIENT_JS / ".build"))
    try:
        for mutant in [None, *BROWSER]:
            copy = folder / (mutant.name if mutant else "none")
            shutil.copytree(CLIENT_JS / "src", copy / "src")
            shutil.copytree(CLIENT_JS / "test", copy / "test")
            if mutant:
                path = copy / "src" / mutant.source
                source = path.read_text("utf-8")
                if source.count(mutant.old) == 1:  # else its test says so
                    path.write_text(source.replace(mutant.old, mutant.new), "utf-8")
        esbuild = CLIENT_JS / "node_modules" / ".bin" / "esbuild"
        options = ["--bundle", "--format=esm", "--platform=node", "--log-level=warning"]
        entries = sorted(folder.glob(f"*/test/{VECTORS}.ts"))
        subprocess.run(
            [esbuild, *entries, *options, f"--outbase={folder}", f"--outdir={folder}/out"],
            check=True,
            cwd=CLIENT_JS,
        )
        yield folder / "out"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_bundle(bundles: Path, name: str) -> tuple[int, str]:
    path = bundles / name / "test" / f"{VECTORS}.js"
    done = subprocess.run(
        ["node", path.rename(path.with_suffix(".mjs"))],
        cwd=CLIENT_JS,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("mutant", BROWSER, ids=lambda mutant: mutant.name)
def test_no_mutant_of_the_browser_survives(mutant: Changed, bundles: Path) -> None:
    source = (CLIENT_JS / "src" / mutant.source).read_text("utf-8")
    assert source.count(mutant.old) == 1, f"{mutant.name} cannot be made: {mutant.old!r} is gone"
    status, told = run_bundle(bundles, mutant.name)
    assert status, f"the vectors do not notice: {mutant.rule}"
    # By what came of a step, not by a core that does not run at all.
    assert "ERR_ASSERTION" in told
    assert "\nok " in told or "    ok " in told


def test_what_is_not_mutated_passes(bundles: Path) -> None:
    """Else nothing would be told by a failure."""
    assert not notices(vectors("server"))
    assert not notices(vectors("client"))
    assert run_bundle(bundles, "none")[0] == 0
