"""A job with progress. Alone: `uvicorn app:app --app-dir examples/job`."""

import sys
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket

sys.path.append(str(Path(__file__).parents[2]))  # so that `examples` is found if it runs alone
from examples.panel.numbers import Numbers
from examples.panel.plain import PlainSockets
from examples.panel.site import files
from transport import Channel, Hub

STEPS = 40
PAGES = 1000
"""How many pages are remembered, by the name that each has chosen."""

pages: dict[str, Numbers] = {}


async def run(channel: Channel) -> None:
    """Serve one page. Its job belongs to the session, which outlives a reload of the page."""
    page, numbers = "", Numbers()
    job = anyio.CancelScope()
    job.cancel()
    async with anyio.create_task_group() as tasks:
        async for message in channel:
            match message:
                case {"page": str(name)}:
                    page = name[:40]
                    numbers = pages.setdefault(page, Numbers())
                    if len(pages) > PAGES:
                        del pages[next(iter(pages))]
                    await channel.send(numbers.hello())
                case "start" if page and job.cancel_called:
                    job = anyio.CancelScope()
                    tasks.start_soon(work, channel, page, numbers, job)
                case "cancel":
                    job.cancel()
                case _:
                    pass
        tasks.cancel_scope.cancel()


async def work(channel: Channel, page: str, numbers: Numbers, job: anyio.CancelScope) -> None:
    """Do the job, and tell its page of each step."""

    async def tell(done: int, text: str) -> None:
        message = numbers.number({"done": done, "of": STEPS, "text": text})
        await channel.send(message)
        plain.send(message, page)

    done = 0
    with job:
        for done in range(1, STEPS + 1):
            await tell(done, f"step {done}")
            await anyio.sleep(0.25)
    await tell(done, "cancelled" if job.cancelled_caught else "finished")
    job.cancel()


def page_of(socket: WebSocket) -> str:
    return socket.query_params.get("page", "")


def greet(page: str) -> list[Any]:
    return [pages.get(page, Numbers()).hello()]


hub = Hub(run)
plain = PlainSockets(greet, page_of)
routes = [Mount("/channel", app=hub), WebSocketRoute("/plain", plain.serve), *files(__file__)]
app = Starlette(routes=routes, lifespan=hub.lifespan)
