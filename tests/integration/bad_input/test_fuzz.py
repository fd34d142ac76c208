"""Arbitrary bytes and JSON at each entry point, in process.

Each input is accepted, or refused with an ``error`` frame. There is never an exception or an error
in the log, and the bystander goes on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from transport import Channel, Hub, Limits
from transport.codes import CODES
from transport.testing import (
    Answer,
    Connection,
    JumpingEventLoop,
    Socket,
    ask,
    lines,
    opening,
    scope_of,
)

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "50"))
"""Examples of each test. They are the same in every run, unless another number is set."""

FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)

# No timer fires during an example, whatever the clock does.
LIMITS = Limits(
    heartbeat=1e6, ttl=1e7, poll_hold=0.01, opens_per_second=10**9, sessions_per_address=10**9
)
CLIENT = "client-0123456789"

NUMBERS = st.sampled_from([0, 1, 2, 3, -1, 2**53 - 1, 2**53, 2**63, 2**64, 10**400, 1.5, 1e308])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | st.text(max_size=8)
    | st.sampled_from(["new", "app", "*"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)

TEMPLATES: list[dict[str, Any]] = [
    opening(),
    {"type": "ack", "ack": 0},
    {"type": "skip", "number": 1, "ack": 0},
    {"type": "ping", "id": 1},
    {"type": "pong"},
    {"type": "bytes", "number": 1, "ack": 0, "data": "AP8="},
    {"type": "close", "code": 1000, "reason": "", "by": "app", "last": 0, "ack": 0},
    {"type": "renew", "credentials": None},
    {"type": "send", "session": "a.b", "client": CLIENT, "attach": 1},
    {"type": "poll", "session": "a.b", "client": CLIENT, "attach": 1, "poll": 1, "ack": 0},
    {"type": "reset", "reason": "expired", "lost": [], "handled": 0, "in_hand": 0},
]


@st.composite
def frames(draw: st.DrawFn) -> Any:
    """Generate a data frame with any numbers, or a control frame with up to two wrong fields."""
    if draw(st.booleans()):
        return [draw(NUMBERS | VALUES), draw(NUMBERS | VALUES), *draw(st.lists(VALUES, max_size=3))]
    frame = dict(draw(st.sampled_from(TEMPLATES)))
    for name in draw(st.lists(st.sampled_from(sorted(frame)), max_size=2)):
        if draw(st.booleans()):
            frame.pop(name, None)
        else:
            frame[name] = draw(VALUES)
    return frame | draw(st.dictionaries(st.text(max_size=5), VALUES, max_size=1))


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Generate a frame as text, a mutilated frame, or any text."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.text(max_size=30))
    text = json.dumps(draw(frames()), separators=(",", ":"), ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 3)) == 0:
        where = draw(st.integers(0, len(text)))
        text = text[:where] + draw(st.text(max_size=2)) + text[where + draw(st.integers(0, 3)) :]
    return text


BODIES = st.lists(texts(), max_size=4).map("\n".join).map(str.encode) | st.binary(max_size=40)
WIRES = st.lists(texts() | st.binary(max_size=40), max_size=6)


async def answers(channel: Channel) -> None:
    """Receive anything. Received messages need not be valid to send (DAT-3)."""
    async for _ in channel:
        await channel.send("got")


class FuzzedHub:
    """A hub, a bystander on it, and an event loop."""

    def __init__(self, runner: asyncio.Runner, log: pytest.LogCaptureFixture) -> None:
        self.hub = Hub(answers, limits=LIMITS)
        self.runner = runner
        self._log = log
        self._trips = 0
        self._opened = 0
        self._bystander = runner.run(self._enter())

    async def _enter(self) -> Socket:
        connection = self.connect()
        socket = Socket(connection)
        await connection.next()
        socket.send(opening(nonce="nonce-of-the-bystander-"))
        assert (await socket.frame())["verdict"] == "new"
        socket.send({"type": "ack", "ack": 0})
        return socket

    def connect(self) -> Connection:
        scope = scope_of("websocket", "/websocket", None)
        return Connection(self.hub, scope, [{"type": "websocket.connect"}])

    def fresh(self) -> dict[str, Any]:
        """Return an ``open`` for a session that is new in each example."""
        self._opened += 1
        return opening(nonce=f"nonce-{self._opened:020}")

    def run(self, example: Coroutine[Any, Any, None]) -> None:
        """Run an example, then check that the bystander goes on and the log has no error."""
        self._log.clear()
        self.runner.run(self._run(example))
        bad = [one for one in self._log.records if one.levelno >= logging.ERROR or one.exc_info]
        assert not bad, bad

    async def _run(self, example: Coroutine[Any, Any, None]) -> None:
        await example
        self._trips += 1
        self._bystander.send([self._trips, self._trips - 1, "still here"])
        while (frame := await self._bystander.frame()) != [self._trips, self._trips, "got"]:
            assert frame["type"] == "ack", frame

    async def post(self, segment: str, body: bytes, **options: Any) -> Answer:
        """Send a request, and check that its answer follows the protocol."""
        answer = await ask(self.hub, segment, body, **options)
        if answer.status >= 400:
            [frame] = answer.frames
            code = CODES[frame["code"]]
            assert (frame["type"], code.status) == ("error", answer.status)
            assert answer.status != 500
        return answer


@pytest.fixture
def fuzzed(caplog: pytest.LogCaptureFixture) -> Iterator[FuzzedHub]:
    with asyncio.Runner(loop_factory=JumpingEventLoop) as runner:
        yield FuzzedHub(runner, caplog)


def fuzz(strategy: st.SearchStrategy[Any], example: Callable[[Any], None]) -> None:
    FUZZ(given(strategy)(example))()


async def flood(connection: Connection, wires: list[str | bytes]) -> None:
    """Send all frames and disconnect; the answers meanwhile must follow the protocol."""
    socket = Socket(connection)
    for wire in wires:
        socket.send(wire)
    socket.leave()
    try:
        while True:
            message = await connection.next()
            if message["type"] == "websocket.close":
                assert message["code"] in {row.websocket for row in CODES.values()}
            elif message.get("text"):
                frame = json.loads(message["text"])
                assert isinstance(frame, list) or frame.get("code", "gap") in {*CODES, 1000}
    except EOFError:
        return


def test_fuzzed_first_frames_of_websocket(fuzzed: FuzzedHub) -> None:
    """OPN-1, OPN-9: any first frame of a WebSocket is accepted or refused properly."""

    async def one(wires: list[str | bytes]) -> None:
        connection = fuzzed.connect()
        assert (await connection.next())["type"] == "websocket.accept"
        await flood(connection, wires)

    fuzz(WIRES, lambda wires: fuzzed.run(one(wires)))


def test_fuzzed_frames_of_websocket(fuzzed: FuzzedHub) -> None:
    """FRM-2, FRM-3, WS-2: any frame of a WebSocket is accepted or refused properly."""

    async def one(wires: list[str | bytes]) -> None:
        connection = fuzzed.connect()
        await connection.next()
        hello: list[str | bytes] = [json.dumps(fuzzed.fresh()), '{"type":"ack","ack":0}']
        await flood(connection, hello + wires)

    fuzz(WIRES, lambda wires: fuzzed.run(one(wires)))


@pytest.mark.parametrize("segment", ["/sse", "/poll", "/send"])
def test_fuzzed_bodies(fuzzed: FuzzedHub, segment: str) -> None:
    """SSE-2, POL-1, SND-1: any body is accepted or refused properly."""

    async def one(body: bytes) -> None:
        connection = Connection(
            fuzzed.hub,
            scope_of("http", segment, {"content-type": "application/x-ndjson"}, method="POST"),
            [{"type": "http.request", "body": body}, {"type": "http.disconnect"}],
        )
        start = await connection.next()
        assert start["status"] in {200, *(row.status for row in CODES.values())} - {500}
        await connection.next()
        await connection.stop()

    fuzz(BODIES, lambda body: fuzzed.run(one(body)))


def test_fuzzed_lines_of_session(fuzzed: FuzzedHub) -> None:
    """SND-1, SND-3: any lines of a session are accepted or refused properly, with polls between."""

    async def one(bodies: tuple[bytes, bytes]) -> None:
        opened = (await fuzzed.post("/poll", lines(fuzzed.fresh()))).frames[0]
        head = {"type": "send", "session": opened["session"], "client": CLIENT, "attach": 1}
        await fuzzed.post("/send", lines(head) + bodies[0])
        await fuzzed.post("/poll", lines({**head, "type": "poll", "poll": 1, "ack": 0}))
        await fuzzed.post("/send", lines(head) + bodies[1])

    fuzz(st.tuples(BODIES, BODIES), lambda bodies: fuzzed.run(one(bodies)))


def test_fuzzed_fields_of_poll(fuzzed: FuzzedHub) -> None:
    """POL-1, POL-2: any fields of a poll are accepted or refused properly."""

    async def one(fields: dict[str, Any]) -> None:
        opened = (await fuzzed.post("/poll", lines(fuzzed.fresh()))).frames[0]
        head = {"session": opened["session"], "client": CLIENT, "attach": 1, "poll": 1, "ack": 0}
        await fuzzed.post("/poll", lines({"type": "poll", **head, **fields}))

    names = st.sampled_from(["session", "client", "attach", "poll", "ack", "hold", "epoch"])
    fuzz(st.dictionaries(names, VALUES, max_size=3), lambda fields: fuzzed.run(one(fields)))


HEADERS = {
    "host": ["test", "", "test:80", "[::1]", "a@b", "/", "test:99999999999"],
    "origin": ["http://test", "null", "", "http://", "://", "http://[", "http://test:x", "*"],
    "sec-fetch-site": ["same-origin", "cross-site", "none", ""],
    "content-type": ["application/x-ndjson", "", ";", "application/x-ndjson;charset=", "a/b;c"],
    "content-encoding": ["identity", "gzip", "", ","],
    "content-length": ["0", "-1", "9" * 30, "x", "", "\xb2", "1e3"],
    "access-control-request-method": ["POST", ""],
    "if-none-match": ["*", '"', "W/"],
}
METHODS = ["GET", "HEAD", "POST", "PUT", "OPTIONS", "X", ""]
PATHS = ["/", "", "/poll", "/sse", "/send/", "/websocket", "/client.js", "/%00", "/..", "/%zz/poll"]


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(HEADERS)), max_size=4, unique=True))
    latin = st.text(st.characters(max_codepoint=255), max_size=6)
    headers = {name: draw(st.sampled_from(HEADERS[name]) | latin) for name in names}
    return {
        "path": draw(
            st.sampled_from(PATHS) | st.text(st.characters(max_codepoint=127), max_size=9)
        ),
        "method": draw(st.sampled_from(METHODS)),
        "headers": headers,
    }


def test_fuzzed_requests(fuzzed: FuzzedHub) -> None:
    """HTTP-1, HTTP-2, IDN-1: any method, path and headers are accepted or refused properly."""

    async def one(request: dict[str, Any]) -> None:
        path = request.pop("path")
        answer = await fuzzed.post(path, b"{", **request)
        assert answer.headers["x-content-type-options"] == "nosniff"

    fuzz(requests(), lambda request: fuzzed.run(one(request)))
