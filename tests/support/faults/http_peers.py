"""The two ends of a `RequestProxy`: a client and a server that speak HTTP/1.1."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, cast

import h11

Event: TypeAlias = "h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]"

_CHUNK = 64 * 1024
ANSWER = (h11.InformationalResponse, h11.Response, h11.Data, h11.EndOfMessage)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request that was received completely."""

    head: h11.Request
    body: bytes

    @property
    def segment(self) -> str:
        """The last segment of its path."""
        return self.head.target.decode().partition("?")[0].rpartition("/")[2]

    @property
    def upgrades(self) -> bool:
        """Whether it asks for another protocol."""
        return any(name == b"upgrade" for name, _ in self.head.headers)


class Peer:
    """A connection, and the state of HTTP on it."""

    role: ClassVar[type[h11.CLIENT] | type[h11.SERVER]]
    """The role of this end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.http = h11.Connection(self.role)

    @property
    def transport(self) -> asyncio.Transport:
        return cast("asyncio.Transport", self.writer.transport)

    async def event(self) -> Event:
        """Return the next event of the other side."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.reader.read(_CHUNK))
        return event

    def send_event(self, event: h11.Event) -> None:
        self.writer.write(self.http.send(event) or b"")


class Client(Peer):
    """The client's connection: it makes a request, receives the answer, and makes the next."""

    role = h11.SERVER

    async def request(self) -> Request | None:
        """Return the next request, or None if there is no other."""
        head = await self.event()
        if not isinstance(head, h11.Request):
            return None
        body = bytearray()
        while isinstance(event := await self.event(), h11.Data):
            body += event.data
        return Request(head, bytes(body))

    async def answer(self, event: h11.Event) -> None:
        self.send_event(event)
        await self.writer.drain()

    async def disconnected_before(self, work: Coroutine[object, object, object]) -> bool:
        """Run ``work``. If the client disconnects first, cancel ``work`` and return True."""
        doing = asyncio.create_task(work)
        tasks = {doing, asyncio.create_task(self._wait_for_disconnect())}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                await doing
                return False
            return True
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _wait_for_disconnect(self) -> None:
        with suppress(OSError):
            while data := await self.reader.read(_CHUNK):
                self.http.receive_data(data)

    def may_continue(self) -> bool:
        """Whether another request may follow."""
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
            return True
        return False


class Upstream(Peer):
    """The connection to the server, which carries one request."""

    role = h11.CLIENT

    def ask(self, request: Request) -> None:
        for event in (request.head, h11.Data(data=request.body), h11.EndOfMessage()):
            self.send_event(event)

    async def answer(self) -> AsyncIterator[h11.Event]:
        """Yield the server's answer as it arrives, up to its end or to an upgrade."""
        while isinstance(event := await self.event(), ANSWER):
            yield event
            if isinstance(event, h11.EndOfMessage):
                return


async def pump(source: Peer, target: Peer) -> None:
    """Forward all data that follows the upgrade."""
    data = source.http.trailing_data[0] or await source.reader.read(_CHUNK)
    with suppress(OSError):
        while data:
            target.writer.write(data)
            await target.writer.drain()
            data = await source.reader.read(_CHUNK)
