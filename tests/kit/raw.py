"""Clients that write each frame of PROTOCOL.md by hand, and keep all that they are told."""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self

import anyio
import httpx
from anyio.abc import TaskGroup
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Frame = Any
DEADLINE = 30.0
"""Seconds after which what a test waits for does not come. Generous: machines are loaded."""
_TYPE = {"content-type": "application/x-ndjson"}


def open_frame(**fields: object) -> dict[str, Any]:
    """An ``open`` that asks for a new session, with other ``fields`` where given (OPN-1)."""
    return {
        "type": "open",
        "versions": [1],
        "client": secrets.token_urlsafe(16),
        "nonce": secrets.token_urlsafe(16),
        "attach": 1,
        "received": 0,
        "first_retained": 1,
        **fields,
    }


def encode(*frames: Frame) -> str:
    """The lines of a body, or one frame of a WebSocket."""
    return "\n".join(json.dumps(frame, separators=(",", ":")) for frame in frames)


class RawClient(ABC):
    """A new session that is open and confirmed, and a connection that waits for the server.

    Attributes:
        opened: the server's answer.
        frames: all that came after it, in order.
        ended: set once the connection is over.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: dict[str, Any] = {}
        self.frames: list[Frame] = []
        self.ended = anyio.Event()
        self._stack = AsyncExitStack()
        self._came = anyio.Event()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            tasks: TaskGroup = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            with anyio.fail_after(DEADLINE):
                await self._open(stack)
            tasks.start_soon(self._keep)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._stack.__aexit__(*details)

    async def until_ended(self, timeout: float = DEADLINE) -> None:
        """Wait until the server has ended the connection."""
        with anyio.fail_after(timeout):
            await self.ended.wait()

    async def until_frame(self, kind: str, timeout: float = DEADLINE) -> dict[str, Any]:
        """Wait for a control frame of that type, and answer the first."""
        with anyio.fail_after(timeout):
            while True:
                for frame in self.frames:
                    if isinstance(frame, dict) and frame["type"] == kind:
                        return frame
                self._came = anyio.Event()
                await self._came.wait()

    def took(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._came.set()

    async def _keep(self) -> None:
        try:
            await self._listen()
        finally:
            self.ended.set()

    @abstractmethod
    async def _open(self, stack: AsyncExitStack) -> None: ...

    @abstractmethod
    async def _listen(self) -> None: ...


class RawWebSocket(RawClient):
    """PROTOCOL.md section 7.

    Attributes:
        code: the close code, once ended; None where no close frame came.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.code: int | None = None

    async def _open(self, stack: AsyncExitStack) -> None:
        self.connection: ClientConnection = await stack.enter_async_context(
            connect(
                f"{self.url.replace('http', 'ws', 1)}/websocket", proxy=None, ping_interval=None
            )
        )
        await self.connection.send(encode(open_frame()))
        self.opened = json.loads(await self.connection.recv())
        await self.connection.send(encode({"type": "ack", "ack": 0}))

    async def _listen(self) -> None:
        try:
            async for message in self.connection:
                self.took(json.loads(message))
        except ConnectionClosed:
            pass  # its code tells
        self.code = self.connection.close_code


class _RawHttp(RawClient):
    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.http = httpx.AsyncClient(headers=_TYPE, timeout=30, trust_env=False)

    @property
    def _address(self) -> dict[str, Any]:
        opened = self.opened
        return {
            "session": opened["session"],
            "client": opened["client"],
            "attach": opened["attach"],
        }

    async def post(self, *frames: Frame) -> list[Frame]:
        """POST ``send`` of ``frames``, and the frames of its answer (SND-1)."""
        first = {"type": "send", **self._address}
        answer = await self.http.post(f"{self.url}/send", content=encode(first, *frames))
        answer.raise_for_status()
        return [json.loads(line) for line in answer.text.split("\n") if line]


class RawEventStream(_RawHttp):
    """PROTOCOL.md section 9."""

    async def _open(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self.http)
        response = await stack.enter_async_context(
            self.http.stream(
                "POST",
                f"{self.url}/sse",
                content=encode(open_frame()),
                headers={"accept": "text/event-stream"},
            )
        )
        response.raise_for_status()
        self._events = _events(response)
        stack.push_async_callback(self._events.aclose)  # type: ignore[attr-defined]
        self.opened = await anext(self._events)
        await self.post()

    async def _listen(self) -> None:
        async for frame in self._events:
            self.took(frame)


async def _events(response: httpx.Response) -> AsyncIterator[Frame]:
    async for line in response.aiter_lines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))


class RawPoll(_RawHttp):
    """PROTOCOL.md section 10: one poll, parked once the client is entered."""

    async def _open(self, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(self.http)
        answer = await self.http.post(f"{self.url}/poll", content=encode(open_frame()))
        answer.raise_for_status()
        self.opened = json.loads(answer.text.split("\n")[0])

    async def _listen(self) -> None:
        poll = {"type": "poll", **self._address, "poll": 1, "ack": 0}
        answer = await self.http.post(f"{self.url}/poll", content=encode(poll))
        for line in answer.text.split("\n"):
            if line:
                self.took(json.loads(line))


RAW_CLIENTS: dict[str, type[RawClient]] = {
    "websocket": RawWebSocket,
    "sse": RawEventStream,
    "longpoll": RawPoll,
}


@asynccontextmanager
async def raw_clients(url: str, *transports: str) -> AsyncIterator[list[RawClient]]:
    """One client over each of ``transports``, all waiting at the same time."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(RAW_CLIENTS[transport](url)) for transport in transports
        ]
        # What was written before this request was read before it is answered: the poll is parked.
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.get(f"{url}/client.js")
        yield clients
