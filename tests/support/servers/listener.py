"""`Listener`: reads a `FrameClient` in the background and keeps the frames that it receives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
import httpx

from tests.support.clients.carriers import Tcp
from tests.support.clients.frame_client import CLIENTS, Ended, LongPollClient, open_frame
from tests.support.clients.tcp_client import DEADLINE


class Listener:
    """A background reader of a new session on a real server, which is open and confirmed.

    Args:
        url: the URL of the channel.
        transport: the name of the transport.

    Attributes:
        client: the client that is read.
        transport: the name of the transport.
        frames: the frames after ``opened``, in order; over polls, only those of the first answer.
        code: the close code of a WebSocket that has ended; None if there was no close frame.
    """

    def __init__(self, url: str, transport: str) -> None:
        parts = urlsplit(url)
        self.transport = transport
        assert parts.port is not None
        self.client = CLIENTS[transport](Tcp(parts.port, parts.path, deadline=None))
        self.frames: list[Any] = []
        self.code: int | None = None
        self._ended = anyio.Event()
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<{self.transport}, {self.code}, {self.frames}>"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.client.carrier.close)
            with anyio.fail_after(DEADLINE):
                await self.client.open(open_frame())
                if not isinstance(self.client, LongPollClient):  # its poll confirms
                    await self.client.confirm()
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(self._listen)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *details: Any) -> None:
        await self._stack.__aexit__(*details)

    async def until_ended(self) -> None:
        """Wait until the server has ended the connection."""
        with anyio.fail_after(DEADLINE):
            await self._ended.wait()

    async def _listen(self) -> None:
        try:
            if isinstance(self.client, LongPollClient):
                self.frames += (await self.client.poll()).frames
                return
            while True:
                self.frames.append(await self.client.frame())
        except Ended as ended:
            self.frames += ended.frames
            self.code = ended.code
        finally:
            self._ended.set()


@asynccontextmanager
async def listeners(url: str, *transports: str) -> AsyncIterator[list[Listener]]:
    """Open a listener over each of ``transports``, all waiting at the same time."""
    async with AsyncExitStack() as stack:
        found = [
            await stack.enter_async_context(Listener(url, transport)) for transport in transports
        ]
        # Everything written before this request is read before its answer, so the poll is parked.
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.get(f"{url}/client.js")
        yield found
