"""A continuous conversation: numbered messages in both directions, each checked on arrival.

`serving("tests.support.conversation:app")` serves a page at ``/`` whose script is the client's
half, `tests/support/conversation.js`, which also runs in Node. On ``{"every": seconds}`` the
handler starts to send a message at that interval, endlessly. On ``{"ask": n}`` it answers how many
messages it has sent and received so far. ``GET /report`` returns the same for each session by id.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from tests.support.messages import Message, numbered, same
from transport import Channel, Hub, Limits

_PAGE = """\
<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A page that talks</title>
<script src="/conversation.js"></script>
<script type="module">
    import { Channel } from "/chat/client.js";
    Object.assign(window, { Channel, ready: true });
</script>
"""
_ELSEWHERE = """\
<!doctype html>
<link rel="icon" href="data:,">
<title>Elsewhere</title>
"""


def ordinary(count: int) -> Message:
    """Return message number ``count``, from 1. No message is as large as a quarter of a megabyte.

    ``ordinary`` of `tests/support/conversation.js` returns the same.
    """
    thousands, rest = divmod(count - 1, 999)
    return numbered(1000 * thousands + rest + 2)


@dataclass(slots=True)
class Half:
    """The messages that the handler of one session has sent and received."""

    sent: int = 0
    received: int = 0
    wrong: list[list[str]] = field(default_factory=list)
    """The first messages that were not the expected one, each after the expected one."""


class _Talk:
    def __init__(self, limits: Limits | None = None) -> None:
        self.halves: dict[str, Half] = {}
        self.hub = Hub(self._handle, limits=limits or Limits())

    async def _handle(self, channel: Channel) -> None:
        half = self.halves[channel.id] = Half()
        order: Any = await channel.receive()
        # A send may wait for capacity. The lock ensures that counted messages precede the answer.
        turn = anyio.Lock()

        async def produce() -> None:
            while True:
                async with turn:
                    half.sent += 1
                    await channel.send(ordinary(half.sent))
                await anyio.sleep(order["every"])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(produce)
            async for message in channel:
                if isinstance(message, dict) and "ask" in message:
                    async with turn:
                        await channel.send({"answer": message["ask"], **asdict(half)})
                    continue
                half.received += 1
                due = ordinary(half.received)
                if not same(due, message) and len(half.wrong) < 3:
                    half.wrong.append([repr(due)[:200], repr(message)[:200]])
            tasks.cancel_scope.cancel()

    def build(self) -> Starlette:
        async def page(_: Request) -> Response:
            return HTMLResponse(_PAGE)

        async def elsewhere(_: Request) -> Response:
            return HTMLResponse(_ELSEWHERE)

        async def script(_: Request) -> Response:
            return FileResponse(Path(__file__).with_name("conversation.js"))

        async def report(_: Request) -> Response:
            return JSONResponse({name: asdict(half) for name, half in self.halves.items()})

        return Starlette(
            routes=[
                Route("/", page),
                Route("/elsewhere", elsewhere),
                Route("/conversation.js", script),
                Route("/report", report),
                Mount("/chat", app=self.hub),
            ],
            lifespan=self.hub.lifespan,
        )


app = _Talk().build()
# A connection that is silent for 7 s is considered dead.
brisk = _Talk(Limits(heartbeat=1.0, poll_hold=1.0)).build()
