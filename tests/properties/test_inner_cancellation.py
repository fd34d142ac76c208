"""Cancellation at every await of a wrapped WebSocket application, and of its hub's ASGI calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.properties.cancellation import LIMITS, TRANSPORTS, Watched, runs
from tests.properties.test_handler_cancellation import Run, at_every_await
from tests.properties.test_server_cancellation import World, authenticate, cancel_everywhere
from tests.support.clients.frame_client import frame_client, open_frame
from tests.support.counted import counted
from transport import ChannelClosed, Hub, Limits, as_websocket
from transport.testing import drive

ACCEPT = {"type": "websocket.accept"}
SENT = ["a", "b", "c"]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_cancelled_waits_of_application_lose_nothing(transport: str) -> None:
    async def work(run: Run) -> None:
        got: list[Any] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            async def take() -> None:
                got.append((await receive()).get("text"))

            while await run(take()):
                pass
            while await run(send(ACCEPT)):
                pass
            for text in SENT:
                while await run(take()):
                    pass
                while await run(send({"type": "websocket.send", "text": text.upper()})):
                    pass
            while await run(send({"type": "websocket.close", "code": 4000})):
                pass

        hub = Hub(as_websocket(app), limits=Limits(window_messages=1))
        async with drive(hub, transport=transport) as page:
            for text in SENT:
                await page.send(text)
            assert [await page.receive() for _ in SENT] == ["A", "B", "C"]
            with pytest.raises(ChannelClosed) as caught:
                await page.receive()
        assert caught.value.code == 4000
        assert got == [None, *SENT]

    assert at_every_await(work) >= 3


class Dying:
    """An application that echoes, and that ends at its ``at``-th await, from 1.

    Attributes:
        at: see above.
        error: the exception that its await raises.
        accepted, received, finished, echoed: what it had done by then: messages that it was given,
            those of them that it had finished with, and those that it had sent back.
    """

    def __init__(self, at: int, error: BaseException) -> None:
        self.at = at
        self.error = error
        self.count = 0
        self.accepted = False
        self.received = self.finished = self.echoed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Watched(self._echo(receive, send), self._wait)

    def _wait(self, _: object) -> BaseException | None:
        self.count += 1
        return self.error if self.count == self.at else None

    async def _echo(self, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0)
        await receive()
        await asyncio.sleep(0)
        await send(ACCEPT)
        self.accepted = True
        await asyncio.sleep(0)
        for _ in SENT:
            event = await receive()
            self.received += 1
            await asyncio.sleep(0)
            await send({"type": "websocket.send", "text": event["text"]})
            self.echoed += 1
            await asyncio.sleep(0)
            self.finished += 1
        await asyncio.sleep(0)
        await send({"type": "websocket.close", "code": 4000})


@pytest.mark.parametrize("has_target", [False, True], ids=["channel", "target"])
@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyError("mine")], ids=repr)
def test_application_that_dies_ends_truthfully(error: BaseException, has_target: bool) -> None:
    """TGT-1, CLS-3: the close tells what was handled, and the message whose fate is unknown."""

    async def once(at: int) -> bool:
        app = Dying(at, error)
        hub = Hub(as_websocket(app), limits=LIMITS)
        frame = open_frame(target={"subprotocols": []}) if has_target else open_frame()
        async with frame_client(hub, "websocket", frame) as client:
            await client.confirm()
            await client.send([1, 0, *SENT])
            frames = (await client.ended()).frames
        data = [message for one in frames if isinstance(one, list) for message in one[2:]]
        [close] = [one for one in frames if isinstance(one, dict) and one["type"] == "close"]
        if app.count < at:
            assert (close["code"], close["ack"]) == (4000, 3)
        elif app.accepted or not has_target:
            assert close["code"] == 1011
        else:
            assert (close["code"], data) == (1008, [{"deny": 500}])
        if has_target and app.accepted:
            assert data.pop(0) == {"accept": None}
        if app.accepted:
            assert data == SENT[: app.echoed]
            assert close["last"] == app.echoed + has_target
        if app.count >= at:
            assert close["ack"] in (app.finished, max(app.received - 1, 0))
            assert close.get("in_hand", close["ack"]) == app.received
        await asyncio.sleep(LIMITS.closing + 6.1)
        assert counted(hub).sessions == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return app.count >= at

    deaths = next(at for at, has_died in runs(once) if not has_died) - 1
    assert deaths > 10


class InnerWorld(World):
    """A hub of a WebSocket application, in place of one of a handler."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[int] = []
        self.hub = Hub(
            as_websocket(self.app), store=self.store, limits=LIMITS, authenticate=authenticate
        )

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        while (event := await receive())["type"] == "websocket.receive":
            self.received.append(event["text"])
            await send({"type": "websocket.send", "text": event["text"]})
        self.ends.append(event["code"])


@pytest.mark.parametrize("pair", ["websocket-sse", "sse-longpoll", "longpoll-websocket"])
def test_wrapped_application_survives_cancelled_calls(
    pair: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def conversation(world: World, app: ASGIApp) -> None:
        first, second = pair.split("-")
        async with drive(app, transport=first) as page:
            await page.send("a")
            page.transport = second
            await page.send("b")
            received = [await page.receive(within=20) for _ in range(2)]
            await page.close(4001, within=20)
        assert (world.received, received) == (["a", "b"], ["a", "b"])
        assert isinstance(world, InnerWorld)
        assert world.ends == [4001]
        assert counted(world.hub).opened == 1

    is_level = pair == "sse-longpoll"
    assert cancel_everywhere(conversation, caplog, level=is_level, new=InnerWorld) > 20
