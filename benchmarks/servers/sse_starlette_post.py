"""The servers on sse-starlette: a stream for the downlink, POSTs for the uplink, and a queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

queues: dict[str, asyncio.Queue[str]] = {}


def _queue(request: Request) -> asyncio.Queue[str]:
    return queues.setdefault(request.query_params["id"], asyncio.Queue())


async def stream(request: Request) -> EventSourceResponse:
    """Serve the event stream of one client."""
    queue = _queue(request)

    async def events() -> AsyncIterator[dict[str, str]]:
        try:
            while True:
                yield {"data": await queue.get()}
        finally:
            queues.pop(request.query_params["id"], None)

    return EventSourceResponse(events())


async def ready(request: Request) -> Response:
    """Answer a request that tells the generator that its stream is open."""
    _queue(request)
    return Response()


async def _post(request: Request, to: Iterable[asyncio.Queue[str]]) -> Response:
    lines = (await request.body()).decode().split("\n")
    for queue in to:
        for text in lines:
            queue.put_nowait(text)
    return Response()


async def echoing(request: Request) -> Response:
    """Send the messages back to their sender."""
    return await _post(request, [_queue(request)])


async def sharing(request: Request) -> Response:
    """Send the messages to all clients."""
    return await _post(request, queues.values())


def _application(send: object) -> Starlette:
    return Starlette(
        routes=[
            Route("/stream", stream),
            Route("/ready", ready),
            Route("/send", send, methods=["POST"]),  # type: ignore[arg-type]
        ]
    )


echo = _application(echoing)
lobby = _application(sharing)
