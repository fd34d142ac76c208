"""The WebSocket transport (PROTOCOL.md, section 7; OPN-7, OPN-9, CLS-7)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.support.counted import counted
from transport import Channel, ChannelClosed, Hub, Limits
from transport.protocol.server.downlink import Downlink
from transport.testing import Connection, opening, scope_of, socket, until


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def test_websocket_echoes_text_and_binary_frames() -> None:
    """WS-1, DAT-2."""
    async with socket(Hub(echo), "/websocket") as ws:
        ws.send(opening())
        opened = await ws.frame()
        assert opened["verdict"] == "new"
        ws.send({"type": "ack", "ack": 0})
        ws.send([1, 0, "hé\u2028", {"a": [1, None, True]}])
        assert await ws.frame() == [1, 2, "hé\u2028", {"a": [1, None, True]}]
        ws.send((3).to_bytes(8, "big") + (2).to_bytes(8, "big") + b"\x00\xff")
        assert await ws.frame() == (3).to_bytes(8, "big") + (3).to_bytes(8, "big") + b"\x00\xff"


async def test_websocket_accepts_bytes_frame_of_http() -> None:
    """DAT-2."""
    async with socket(Hub(echo), "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
        ws.send({"type": "ack", "ack": 0})
        ws.send({"type": "bytes", "number": 1, "ack": 0, "data": "AP8="})
        assert (await ws.frame())[16:] == b"\x00\xff"


async def test_data_after_open_of_new_session_is_accepted() -> None:
    """OPN-7."""
    async with socket(Hub(echo), "/websocket") as ws:
        ws.send(opening())
        ws.send([1, 0, "early"])
        await ws.frame()
        assert await ws.frame() == [1, 1, "early"]


async def test_four_probes_before_open_are_answered() -> None:
    """OPN-9."""
    async with socket(Hub(echo), "/websocket") as ws:
        for number in range(4):
            ws.send({"type": "ping", "id": number})
            assert await ws.frame() == {"type": "pong", "id": number}
        ws.send({"type": "ping"})
        assert (await ws.frame())["code"] == "bad_frame"
        assert await ws.closed() == 4400


async def test_missing_open_ends_connection() -> None:
    """OPN-9."""
    async with socket(Hub(echo, limits=Limits(opening=0.05)), "/websocket") as ws:
        assert (await ws.frame())["code"] == "timeout"
        assert await ws.closed() == 4408


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        ("", "bad_json"),
        ("{", "bad_json"),
        ('{"type":"open"}\n', "bad_json"),
        ("[1,0,1]", "bad_frame"),
        ('{"type":"nonsense"}', "bad_frame"),
        ('"open"', "bad_frame"),
        (json.dumps(opening(attach=True), separators=(",", ":")), "bad_number"),
        (json.dumps(opening(versions=[9]), separators=(",", ":")), "unsupported_version"),
    ],
)
async def test_bad_first_frame_is_refused_and_ends_connection(wire: str, code: str) -> None:
    """WS-2, OPN-1, OPN-2."""
    async with socket(Hub(echo), "/websocket") as ws:
        ws.send(wire)
        error = await ws.frame()
        assert (error["type"], error["code"]) == ("error", code)
        assert await ws.closed() >= 4400


async def test_bad_frame_ends_connection_not_session() -> None:
    """WS-2, FRM-4."""
    hub = Hub(echo)
    async with socket(hub, "/websocket") as ws:
        ws.send(opening())
        token = (await ws.frame())["session"]
        ws.send({"type": "ack", "ack": 0})
        ws.send([1, 0, "kept"])
        assert await ws.frame() == [1, 1, "kept"]
        ws.send('{"type":"ack","ack":1.0}')
        assert (await ws.frame())["code"] == "bad_number"
        assert await ws.closed() == 4400
    async with socket(hub, "/websocket") as ws:
        ws.send(opening(2, session=token, first_retained=2))
        opened = await ws.frame()
        assert (opened["verdict"], opened["received"]) == ("resumed", 1)
        assert await ws.frame() == [1, 1, "kept"]


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1012, 1014, 4321])
async def test_close_code_of_application_reaches_websocket(code: int) -> None:
    """CLS-7, CLS-3."""

    async def closes(channel: Channel) -> None:
        await channel.send("bye")
        await channel.close(code, "enough")

    async with socket(Hub(closes), "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
        ws.send({"type": "ack", "ack": 0})
        assert await ws.frame() == [1, 0, "bye"]
        assert await ws.frame() == {
            "type": "close",
            "code": code,
            "reason": "enough",
            "by": "app",
            "last": 1,
            "ack": 0,
        }
        ws.send({"type": "ack", "ack": 1})
        assert await ws.closed() == code


async def test_client_that_leaves_is_detached_at_once() -> None:
    """CLS-6."""
    channels: list[Channel] = []

    async def keeps(channel: Channel) -> None:
        channels.append(channel)
        with pytest.raises(ChannelClosed):
            await channel.receive()

    async with socket(Hub(keeps), "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
        assert channels[0].transport == "websocket"
        ws.leave()
        async with asyncio.timeout(30):
            await asyncio.wait({ws.connection.task})
        assert not channels[0].connected
        assert channels[0].transport is None


@pytest.mark.parametrize("error", [ConnectionResetError, RuntimeError])
async def test_client_leaving_before_answer_raises_no_error(error: type[Exception]) -> None:
    """OPN-9: in this case, a server's ``send`` raises OSError or, in older ones, RuntimeError."""

    async def gone(message: Message) -> None:
        if message["type"] == "websocket.send":
            raise error

    first = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": '{"type":"ping"}'},
    ]

    async def app(scope: Scope, receive: Receive, _: Send) -> None:
        await Hub(echo)(scope, receive, gone)

    connection = Connection(app, scope_of("websocket", "/websocket", None), first)
    with pytest.raises(EOFError):
        await connection.next()


async def test_stuck_reader_is_detached_by_server_deadline() -> None:
    """LIV-1: the only sign of a peer that does not read is that no ack arrives."""
    limits = Limits(heartbeat=0.2, poll_hold=0.5, ttl=6)
    channels: list[Channel] = []

    async def keeps(channel: Channel) -> None:
        channels.append(channel)
        async for _ in channel:
            pass

    async with socket(Hub(keeps, limits=limits), "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
        ws.connection.blocked = asyncio.Event()
        await channels[0].send("x")
        await until(lambda: not channels[0].connected)


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


def with_send(hub: Hub, replace: Callable[[Send], Send]) -> ASGIApp:
    """Return the hub behind a ``send`` that a server would make differently."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hub(scope, receive, replace(send))

    return app


async def test_error_of_core_in_writer_is_logged_and_ends_connection(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A RuntimeError is also what servers raise from ``send`` if the client is gone."""
    hub = Hub(silent)
    async with socket(hub, "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
        await until(lambda: counted(hub).connections["websocket"] == 1)

        def fail(*_: object) -> None:
            raise RuntimeError("a fault of the core")

        with monkeypatch.context() as patch:
            patch.setattr(Downlink, "transmit", fail)
            ws.send({"type": "ping"})
            assert await ws.closed() == 1011
        assert "a fault of the core" in caplog.text
        assert counted(hub).connections["websocket"] == 0
        assert counted(hub).sessions == 1


@pytest.mark.parametrize("closes", [True, False])
async def test_unknown_error_of_send_ends_connection(
    closes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """It would be read for ever; if it cannot even be closed, it is aborted."""
    broken = False

    class Server:
        """A server like uvicorn, whose receive belongs to an object with a transport."""

        def __init__(self, receive: Receive, send: Send) -> None:
            self.transport = self
            self._receive, self._send = receive, send

        def abort(self) -> None:
            aborted.set()

        async def receive(self) -> Message:
            return await self._receive()

        async def send(self, message: Message) -> None:
            if broken and (message["type"] == "websocket.send" or not closes):
                raise ValueError("a fault of the server")
            await self._send(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        server = Server(receive, send)
        await hub(scope, server.receive, server.send)

    hub = Hub(silent)
    aborted = asyncio.Event()
    async with socket(app, "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
        broken = True
        ws.send({"type": "ping"})
        if closes:
            assert await ws.closed() == 1011
        else:
            await asyncio.wait_for(aborted.wait(), 30)
        assert "write_failed" in caplog.text
        assert counted(hub).connections["websocket"] == 0


@pytest.mark.parametrize("error", [ConnectionResetError, RuntimeError])
async def test_client_gone_while_written_to_is_not_logged(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """It is an everyday event; the reader then gets the disconnect."""
    gone = False

    def replace(send: Send) -> Send:
        async def sends(message: Message) -> None:
            if gone:
                raise error
            await send(message)

        return sends

    hub = Hub(silent)
    async with socket(with_send(hub, replace), "/websocket") as ws:
        ws.send(opening())
        await ws.frame()
        gone = True
        ws.send({"type": "ping"})
        ws.leave()
        await until(ws.connection.task.done)
        assert "write_failed" not in caplog.text
        assert counted(hub).connections["websocket"] == 0
