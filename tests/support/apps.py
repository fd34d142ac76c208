"""Small applications for the tests, each with a blank page and a channel at ``/chat``.

`tests.support.servers.uvicorn.serving` runs them by name: ``serving("tests.support.apps:echo")``.
``GET /`` returns the page, which exposes the client as ``window.Channel``. ``GET /report`` returns
what the handlers saw. ``POST /release`` resumes the handlers that wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from tests.support.messages import numbered, same
from tests.support.short_limits import ShortLimits
from transport import Channel, Hub, Limits

_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A page of the tests</title>
<script type="module">
    import * as client from "/chat/client.js";
    Object.assign(window, client, { client, ready: true });
</script>
"""


@dataclass(slots=True)
class Report:
    """The messages that the handlers of an application saw."""

    started: int = 0
    """The number of handler calls, which is one for each session."""
    ended: int = 0
    received: int = 0
    sent: int = 0
    wrong: list[list[str]] = field(default_factory=list)
    """The first few messages that were out of order, duplicated or altered, each after the message
    that was expected."""
    messages: list[Any] = field(default_factory=list)
    """The received messages that have no number."""

    def expect(self, due: object, message: object) -> None:
        """Count a message, and note it if it is not the expected one."""
        self.received += 1
        if not same(due, message) and len(self.wrong) < 10:
            self.wrong.append([repr(due)[:200], repr(message)[:200]])


class Application:
    """The state that a handler of this module shares with other handlers and with the routes."""

    def __init__(
        self,
        handler: Callable[[Application, Channel], Awaitable[None]],
        limits: Limits | None = None,
        on_error: Literal["close", "reopen"] = "close",
    ) -> None:
        self.report = Report()
        self.released = asyncio.Event()
        self._handler = handler
        self.hub = Hub(self._handle, limits=limits or Limits(), on_error=on_error)

    async def _handle(self, channel: Channel) -> None:
        self.report.started += 1
        try:
            await self._handler(self, channel)
        finally:
            self.report.ended += 1

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(_PAGE, headers={"cache-control": "no-store"})

    async def _report(self, _: Request) -> Response:
        channels = [asdict(channel.statistics()) for channel in self.hub.channels]
        return JSONResponse({**asdict(self.report), "channels": channels})

    async def _release(self, _: Request) -> Response:
        self.released.set()
        return Response(status_code=204)

    def build(self) -> Starlette:
        """Return the ASGI application."""
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/report", self._report),
                Route("/release", self._release, methods=["POST"]),
                Mount("/chat", app=self.hub),
            ],
            lifespan=self.hub.lifespan,
        )


async def _echo(app: Application, channel: Channel) -> None:
    """Send back every message."""
    async for message in channel:
        app.report.messages.append(message)
        await channel.send(message)


async def _lobby(app: Application, channel: Channel) -> None:
    """Broadcast every message to all clients, starting with ``"joined"``."""
    lobby = app.hub.group("lobby")
    await lobby.add(channel)
    await channel.send("joined")
    async for message in channel:
        app.report.messages.append(message)
        await lobby.send(message)


async def _campaign(app: Application, channel: Channel) -> None:
    """On ``{"send": n}``, send n numbered messages; expect numbered messages in return.

    It never runs far ahead of what it receives, so both directions stay busy until the end.
    """
    ahead = 500
    received = 0
    went_on = anyio.Event()

    async def produce(count: int) -> None:
        for index in range(1, count + 1):
            while index > received + ahead:
                await went_on.wait()
            await channel.send(numbered(index))
            app.report.sent += 1

    order: Any = await channel.receive()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(produce, order["send"])
        async for message in channel:
            received += 1
            app.report.expect(numbered(received), message)
            went_on.set()
            went_on = anyio.Event()


async def _bye(app: Application, channel: Channel) -> None:
    """Send ``"welcome"``, wait to be released, send ``"bye"`` and return."""
    await channel.send("welcome")
    await app.released.wait()
    await channel.send("bye")


async def _failing(app: Application, channel: Channel) -> None:
    """Echo, but fail at ``"boom"``."""
    async for message in channel:
        if message == "boom":
            raise RuntimeError
        await channel.send(message)


async def _pushing(app: Application, channel: Channel) -> None:
    """Send ``"pushed"``, and receive nothing."""
    await channel.send("pushed")
    await channel.wait_closed()


async def _rows(app: Application, channel: Channel) -> None:
    """On ``{"rows": n}``, send n rows without a pause, and only then receive n answers."""
    order: Any = await channel.receive()
    for index in range(1, order["rows"] + 1):
        await channel.send({"row": index})
        app.report.sent += 1
    for index in range(1, order["rows"] + 1):
        app.report.expect({"answer": index}, await channel.receive())
    await channel.send("all answered")
    async for message in channel:
        app.report.messages.append(message)


async def _holding(app: Application, channel: Channel) -> None:
    """Echo, but hold some messages unfinished.

    ``"hold"`` is held until it is released, and three messages are sent then; ``"forever"`` is held
    until the session ends.
    """
    async for message in channel:
        app.report.messages.append(message)
        if message == "forever":
            await anyio.sleep_forever()
        elif message == "hold":
            await app.released.wait()
            for index in range(3):
                await channel.send({"held": index})
        else:
            await channel.send(message)


echo = Application(_echo).build()
lobby = Application(_lobby).build()
# Several cuts of a campaign fall into one second.
campaign = Application(_campaign, Limits(opens_per_second=1000)).build()
# Small windows cause many requests, and short timeouts keep silence and parked polls short.
brisk = Application(
    _campaign, Limits(window_messages=10, heartbeat=1.0, poll_hold=0.3, opens_per_second=1000)
).build()
# A session outlives the test unless its page says that it leaves.
leaving = Application(_echo, Limits(away=1.0, ttl=1000.0)).build()
bye = Application(_bye).build()
failing = Application(_failing).build()
reopening = Application(_failing, on_error="reopen").build()
pushing = Application(_pushing).build()
rows = Application(_rows, Limits(window_messages=50)).build()
holding = Application(_holding).build()
# A session outlives its heartbeats; nothing waits for the handler that holds a message for ever.
_SHORT = ShortLimits(ttl=2.0, heartbeat=0.3, poll_hold=0.3, closing=0.5, drain_grace=0.5)
expiring = Application(_holding, _SHORT).build()
# No timer of the server fires before a test's deadline: what happens here did not need a timer.
_LONG = Limits(
    heartbeat=1000.0,
    poll_hold=1000.0,
    ttl=10_000.0,
    stream=10_000.0,
    closing=1000.0,
    stall=1000.0,
    drain_grace=1000.0,
)
patient = Application(_echo, _LONG).build()
beating = Application(_echo, Limits(heartbeat=0.3, poll_hold=0.3)).build()
