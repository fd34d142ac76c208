"""A bare ASGI callable, the floor of this stack: no numbers, no acks, no sessions.

Over HTTP it has the minimum that a stream and a poll need: a list of lines per client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.generator import Messages

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class Bare:
    """The application; `took` and `posted` decide what happens to a message."""

    def __init__(self) -> None:
        self.boxes: dict[bytes, Box] = {}
        self.sockets: set[Send] = set()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.websocket(receive, send)
        elif scope["type"] == "http":
            await self.http(scope, receive, send)
        else:
            await lifespan(receive, send)

    async def websocket(self, receive: Receive, send: Send) -> None:
        """Serve a WebSocket; each text is a message."""
        await receive()
        await send({"type": "websocket.accept"})
        self.sockets.add(send)
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                break
            await self.took(send, message["text"])
        self.sockets.discard(send)

    async def took(self, send: Send, text: str) -> None:
        """Handle a message from a WebSocket."""
        raise NotImplementedError

    def posted(self, box: Box, lines: list[bytes]) -> None:
        """Handle the messages of a POST."""
        raise NotImplementedError

    async def http(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve ``/stream``, ``/poll``, ``/send``, ``/ready`` and ``/leave``, all with ``?id=``."""
        name = scope["query_string"]
        box = self.boxes.get(name)
        if box is None:
            box = self.boxes[name] = Box()
        match scope["path"]:
            case "/stream":
                await box.stream(receive, send)
                del self.boxes[name]
            case "/poll":
                await answer(send, b"\n".join(await box.taken()))
            case "/send":
                self.posted(box, (await body_of(receive)).split(b"\n"))
                await answer(send, b"")
            case "/leave":
                box.put([])
                del self.boxes[name]
                await answer(send, b"")
            case _:
                await answer(send, b"")


class Box:
    """The lines that wait for one client."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.waiter: asyncio.Future[None] | None = None

    def put(self, lines: list[bytes]) -> None:
        """Add lines, and wake the waiting stream or poll."""
        self.lines += lines
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def taken(self) -> list[bytes]:
        """Return all lines, once there are any."""
        if not self.lines:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter
        lines, self.lines = self.lines, []
        return lines

    async def stream(self, receive: Receive, send: Send) -> None:
        """Write lines as events until the client leaves."""
        await receive()
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b": \n\n", "more_body": True})
        writer = asyncio.create_task(self._write(send))
        await receive()
        writer.cancel()

    async def _write(self, send: Send) -> None:
        while True:
            body = b"".join([b"data: " + line + b"\n\n" for line in await self.taken()])
            await send({"type": "http.response.body", "body": body, "more_body": True})


async def body_of(receive: Receive) -> bytes:
    """Read the body of a request."""
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            return bytes(body)


async def answer(send: Send, body: bytes) -> None:
    """Send a complete answer."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive: Receive, send: Send) -> None:
    """Handle the lifespan protocol; there is nothing to set up."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


class Echo(Bare):
    """Sends each message back to its sender."""

    async def took(self, send: Send, text: str) -> None:
        await send({"type": "websocket.send", "text": text})

    def posted(self, box: Box, lines: list[bytes]) -> None:
        box.put(lines)


class Lobby(Bare):
    """Sends each message to all clients."""

    async def took(self, send: Send, text: str) -> None:
        for other in self.sockets:
            await other({"type": "websocket.send", "text": text})

    def posted(self, box: Box, lines: list[bytes]) -> None:
        for other in self.boxes.values():
            other.put(lines)


class Backlog(Bare):
    """Sends 1,000 messages to each new WebSocket."""

    async def websocket(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        for text in BACKLOG:
            await send({"type": "websocket.send", "text": text})
        await receive()


BACKLOG = [text.decode() for text in Messages(64).texts]

echo = Echo()
lobby = Lobby()
backlog = Backlog()
