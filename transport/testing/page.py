"""`Page`: a browser's page, as far as a handler can tell, in the process of the test."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, assert_never

from starlette.types import ASGIApp

from transport.errors import (
    ChannelClosed,
    ChannelError,
    Fate,
    SessionReset,
    TooLarge,
    Unacknowledged,
)
from transport.limits import Limits
from transport.protocol.client.events import (
    Answer,
    Attached,
    Closed,
    ConnectionLost,
    Event,
    FrameReceived,
    Input,
    LinkDropped,
    Messages,
    Output,
    Rejected,
    RenewalRequested,
    Request,
    Settled,
    Superseded,
    WasReset,
)
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession
from transport.protocol.client.terms import Terms
from transport.protocol.codec import encode_message
from transport.protocol.frames import EncodedFrame, Json, TransportKind, Verdict
from transport.protocol.states import AttachState
from transport.testing import asgi
from transport.testing.asgi import DEADLINE, Connection, Stream, handshake, request

Work = Callable[..., Coroutine[Any, Any, None]]

ATTEMPT = 10.0
"""Seconds in which an attach must be answered, and a POST."""
RETRY = 0.5
"""Seconds before the second try in a row; each further one waits twice as long, to `RETRY_MOST`."""
RETRY_MOST = 8.0


@asynccontextmanager
async def drive(
    app: ASGIApp,
    path: str = "",
    *,
    transport: str = "websocket",
    credentials: Json = None,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Page]:
    """Open a channel in process, as a page does, and wait until it stands.

    Leaving the block is a page that goes away: no close, its session waits until it expires
    (PROTOCOL.md CLS-6). Whoever wants the handler to end before calls `Page.close`, or runs the hub
    in its ``lifespan()``.

    Args:
        app: the hub, or an application that mounts it.
        path: of the channel there, with a query if need be: ``"/chat/room-7?lang=de"``.
        transport: the first to be used: ``"websocket"``, ``"sse"`` or ``"longpoll"``.
        credentials: for ``authenticate``; `Page.credentials` changes them.
        headers: of every request, such as ``{"cookie": "..."}``.

    Raises:
        ChannelClosed: the channel was refused for good.
        TimeoutError: it did not open. What the application raised, it raises here too.
    """
    page = Page(app, path, transport=transport, credentials=credentials, headers=headers)
    try:
        await page.resume()
        yield page
    finally:
        await page.stop()


class Page:
    """One page's end of a channel. Made by `drive`.

    It keeps, resends, acknowledges and settles as the clients of this package do, for it has their
    core. When the server ends a connection it comes back by itself; after `cut` it stays away until
    `resume`. Every wait is bounded by ``within``, in seconds of the event loop's clock, and raises
    `TimeoutError`.

    Attributes:
        credentials: that it shows at each attach, and when asked to renew them.
        unread: what the application's writes wait for while nothing is read.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str = "",
        *,
        transport: str = "websocket",
        credentials: Json = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.credentials = credentials
        self._app = app
        self._path, _, self._query = path.partition("?")
        self._headers = dict(headers or {})
        self._transport = TransportKind(transport)
        self._session = ClientSession(secrets.token_urlsafe(16), Terms.of(Limits()))
        self._loop = asyncio.get_running_loop()
        self._lines: dict[Link, _Line] = {}
        self._calls: list[Connection] = []
        """Calls of the application, until they are over."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._away = True
        self._failures = 0
        """To attach, in a row."""
        self._retry: asyncio.TimerHandle | None = None
        self._due: asyncio.TimerHandle | None = None
        self.unread: asyncio.Event | None = None
        self._id: str | None = None
        self._verdict: Verdict | None = None
        """Of the last attach, until it is asked for."""
        self._queue: deque[Json | SessionReset] = deque()
        self._settled = 0
        """All sends up to it have an outcome."""
        self._refused: dict[int, ChannelError] = {}
        """Those that were not handled."""
        self._closed: ChannelClosed | None = None
        self._failure: Exception | None = None
        """What the application raised."""
        self._waiters: list[asyncio.Future[None]] = []

    # What it is

    @property
    def id(self) -> str | None:
        """The session's public name: `Channel.id` of the handler."""
        return self._id

    @property
    def connected(self) -> bool:
        """Whether an attach stands."""
        return any(link.state is AttachState.CONFIRMED for link in self._lines)

    @property
    def transport(self) -> str | None:
        """The transport in use; None while it is away. Set, it moves there: at once, beside the
        old connection, or with the next `resume`."""
        confirmed = [link for link in self._lines if link.state is AttachState.CONFIRMED]
        return max(confirmed, key=lambda link: link.attach).transport.value if confirmed else None

    @transport.setter
    def transport(self, name: str) -> None:
        self._transport = TransportKind(name)
        if not self._away and self._closed is None:
            self._attach()

    # Messages

    async def send(self, message: Json) -> int:
        """Send a message: str, bytes, or a JSON value. Returns at once, also while it is away.

        Returns:
            Its number, for `acknowledged`.

        Raises:
            Unsendable, TooLarge: the message cannot be sent.
            ChannelClosed: the channel is closing or over.
        """
        self._check()
        number = self._session.send(encode_message(message, self._session.terms))
        self._act([])
        return number

    async def acknowledged(self, number: int, *, within: float | None = DEADLINE) -> None:
        """Wait until the handler has finished with the message of that number (MRK-3).

        Raises:
            Unacknowledged: its session ended first; `Unacknowledged.fate` says what is known.
            TooLarge: the server does not take it.
        """
        await self._until(
            lambda: number <= self._settled or number in self._refused,
            within,
            f"message {number} was not handled",
        )
        if number in self._refused:
            raise self._refused[number]

    async def receive(self, *, within: float | None = DEADLINE) -> Json:
        """The next message of the handler.

        Raises:
            SessionReset: here the session ended and a new one began; the next call goes on there.
            ChannelClosed: there will be none.
        """
        await self._until(
            lambda: bool(self._queue) or self._closed is not None, within, "no message came"
        )
        if not self._queue:
            assert self._closed is not None
            raise self._closed
        message = self._queue.popleft()
        if isinstance(message, SessionReset):
            raise message
        return message

    def __aiter__(self) -> Page:
        return self

    async def __anext__(self) -> Json:
        try:
            return await self.receive()
        except ChannelClosed:
            raise StopAsyncIteration from None

    async def close(
        self, code: int = 1000, reason: str = "", *, within: float | None = DEADLINE
    ) -> None:
        """Close, and wait until the handler has ended and all that it sent is here (CLS-2)."""
        self._session.close(code, reason)
        if self._away and self._closed is None:
            self._attach()
        self._act([])
        await self._until(
            lambda: self._closed is not None and not self._posting,
            within,
            "the server did not close",
        )

    # What becomes of its connections

    def cut(self, *, noticed: bool = True) -> None:
        """Lose the connections, and what is on its way over them in either direction.

        Args:
            noticed: False: the server is not told, as by a cable that is pulled.
        """
        self._away = True
        if self._retry is not None:
            self._retry.cancel()
        for link in list(self._lines):
            self._lines[link].lose(noticed=noticed)
            self.handle_input(link, ConnectionLost("cut"))

    async def resume(self, *, within: float | None = DEADLINE) -> bool:
        """Come back after a `cut`.

        Returns:
            Whether the session goes on, with nothing lost or repeated. Else it is a new one, and
            `receive` tells of it.

        Raises:
            ChannelClosed: it was closed meanwhile.
        """
        self._verdict = None
        if self._closed is None:
            self._attach()
        await self._until(
            lambda: self._verdict is not None or self._closed is not None,
            within,
            "the channel did not open",
        )
        return self._resumed()

    def _resumed(self) -> bool:
        if self._verdict is not None:
            return self._verdict is Verdict.RESUMED
        assert self._closed is not None
        raise self._closed

    def stop_reading(self) -> None:
        """Read nothing: the application's writes wait, as those to a peer whose network is full."""
        if self.unread is None:
            self.unread = asyncio.Event()
            for line in self._lines.values():
                line.block(self.unread)

    def read_on(self) -> None:
        """The end of `stop_reading`."""
        if self.unread is not None:
            self.unread.set()
            self.unread = None
            for line in self._lines.values():
                line.block(None)

    async def stop(self) -> None:
        """Go away for good. `drive` does it."""
        self.cut()
        self.read_on()
        if self._due is not None:
            self._due.cancel()
        for task in self._tasks:
            task.cancel()
        for call in self._calls:
            call.task.cancel()
        tasks = {*self._tasks, *(call.task for call in self._calls)}
        if tasks:
            await asyncio.wait(tasks, timeout=DEADLINE)

    # What drives it

    def _attach(self) -> None:
        self._away = False
        if self._retry is not None:
            self._retry.cancel()
        credentials = {} if self.credentials is None else {"credentials": self.credentials}
        link = self._session.attach(self._transport, secrets.token_urlsafe(24), **credentials)
        self._lines[link] = _Line(self, link)
        self._loop.call_later(ATTEMPT, self._give_up, link)
        self._act([])

    def _give_up(self, link: Link) -> None:
        if link.state in (AttachState.FRESH, AttachState.OPENING):
            self.handle_input(link, ConnectionLost("no answer in time"))

    def handle_input(self, link: Link, report: Input) -> None:
        """The connection of ``link`` reports."""
        self._act(self._session.handle_input(link, report, self._loop.time()))

    def _tick(self) -> None:
        self._act(self._session.tick(self._loop.time()))

    def _act(self, events: Iterable[Event]) -> None:
        """After every input: do what was decided, write what is due, wake who waits."""
        now = self._loop.time()
        for event in events:
            self._on(event)
        for link, line in list(self._lines.items()):
            for out in self._session.transmit(link, now):
                line.write(out)
        if self._closed is not None:
            for link in list(self._lines):
                self._lines.pop(link).leave()
        if self._due is not None:
            self._due.cancel()
        deadline = self._session.deadline
        if deadline < float("inf"):
            self._due = self._loop.call_at(max(deadline, now), self._tick)
        self._wake()

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _on(self, event: Event) -> None:
        match event:
            case Attached():
                self._id, self._verdict, self._failures = event.id, event.verdict, 0
            case Messages():
                self._queue.extend(event.messages)
            case Settled():
                self._settle([event], None)
            case Rejected():
                limit = self._session.terms.message
                self._refused[event.send] = TooLarge(event.size, limit)
            case WasReset():
                reset = SessionReset(event.reason.value, event.lost)
                self._settle(event.sends, reset)
                self._queue.append(reset)
            case Closed():
                self._closed = ChannelClosed(event.code, event.reason)
                self._settle(event.sends, self._closed)
            case LinkDropped():
                self._dropped(event)
            case RenewalRequested():
                self._session.renew(self.credentials)
            case Superseded():
                pass  # `Closed` follows
            case _:
                assert_never(event)

    def _settle(self, sends: Iterable[Settled], cause: ChannelError | None) -> None:
        for one in sends:
            self._settled = max(self._settled, one.last)
            if one.fate is not Fate.HANDLED:
                for number in range(one.first, one.last + 1):
                    error = self._refused[number] = Unacknowledged(number, one.fate)
                    error.__cause__ = cause

    def _dropped(self, event: LinkDropped) -> None:
        line = self._lines.pop(event.link, None)
        if line is not None:
            line.leave()
        if self._away or self._closed is not None:
            return
        if any(link.attach > event.link.attach for link in self._lines):
            return  # it was left for another
        wait = event.retry_in
        if not event.drained and self._failures:
            wait += min(RETRY * 2 ** (self._failures - 1), RETRY_MOST)
        self._failures += 1
        self._retry = self._loop.call_later(wait, self._attach)

    # What its lines use

    def call(self, connection: Connection) -> Connection:
        """Remember a call of the application until it is over."""
        self._calls.append(connection)
        connection.task.add_done_callback(lambda _: self._over(connection))
        return connection

    def _over(self, connection: Connection) -> None:
        self._calls.remove(connection)

    def handshake(self) -> Connection:
        """A WebSocket that asks to be let in."""
        return self.call(handshake(self._app, self._url("websocket"), self._headers))

    def request(self, segment: str, wires: Iterable[EncodedFrame]) -> Connection:
        """A POST of these lines."""
        body = "".join(f"{wire!s}\n" for wire in wires).encode()
        return self.call(request(self._app, self._url(segment), body, headers=self._headers))

    def _url(self, segment: str) -> str:
        return f"{self._path}/{segment}" + (f"?{self._query}" if self._query else "")

    def spawn(self, work: Work, *arguments: Any) -> asyncio.Task[None]:
        """Run it until it ends, or the page goes."""
        task = self._loop.create_task(self._guard(work, *arguments))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake()

    async def _guard(self, work: Work, *arguments: Any) -> None:
        try:
            await work(*arguments)
        except Exception as error:  # noqa: BLE001 - the test is told, by whatever it waits for
            self._failure = error

    @property
    def _posting(self) -> bool:
        """Whether a last word is on its way."""
        return any(task.get_name() == _POST for task in self._tasks)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _until(
        self, condition: Callable[[], bool], within: float | None, otherwise: str
    ) -> None:
        self._check()
        try:
            async with asyncio.timeout(within):
                while not condition():
                    waiter = self._loop.create_future()
                    self._waiters.append(waiter)
                    try:
                        await waiter
                    finally:
                        self._waiters.remove(waiter)
                    self._check()
        except TimeoutError:
            away = ", and the page is away: resume it" if self._away else ""
            raise TimeoutError(f"{otherwise} in {within} s{away}") from None


_POST = "post"


class _Line:
    """One connection of a page: a WebSocket, a stream, or polls; with its POSTs."""

    def __init__(self, page: Page, link: Link) -> None:
        self._page = page
        self._link = link
        self._down: Connection | None = None
        """The WebSocket, the stream, or the last poll."""
        self._posts: list[Connection] = []
        self._reader: asyncio.Task[None] | None = None

    # Ends

    def leave(self) -> None:
        """It is over: the server sees the connection end."""
        if self._reader is not None:
            self._reader.cancel()
        if self._down is not None:
            self._down.inbound.put_nowait(self._goodbye())

    def lose(self, *, noticed: bool) -> None:
        """It is cut, and what is on its way is lost."""
        for call in (*self._posts, *([self._down] if self._down is not None else [])):
            while not call.inbound.empty():
                call.inbound.get_nowait()
        if self._reader is not None:
            self._reader.cancel()
        if not noticed:
            self._down = None
        for post in self._posts:
            post.inbound.put_nowait({"type": "http.disconnect"})

    def _goodbye(self) -> dict[str, Any]:
        if self._link.transport is TransportKind.WEBSOCKET:
            return {"type": "websocket.disconnect", "code": 1005}
        return {"type": "http.disconnect"}

    def block(self, until: asyncio.Event | None) -> None:
        """Read nothing before ``until``; None: read on."""
        if self._down is not None:
            self._down.blocked = until

    # Writing

    def write(self, out: Output) -> None:
        """Put it on its way."""
        match out.request:
            case None:
                assert self._down is not None
                for wire in out.frames:
                    self._put(self._down, wire)
            case Request.OPEN:
                self._open(out.frames)
            case Request.POLL:
                self._down = self._page.request("poll", out.frames)
                self._read(self._poll, Request.POLL, self._down)
            case Request.POST:
                post = self._page.request("send", out.frames)
                self._posts.append(post)
                self._page.spawn(self._post, post).set_name(_POST)
            case _:
                assert_never(out.request)

    def _put(self, connection: Connection, wire: EncodedFrame) -> None:
        key = "text" if isinstance(wire, str) else "bytes"
        connection.inbound.put_nowait({"type": "websocket.receive", key: wire})

    def _open(self, wires: Iterable[EncodedFrame]) -> None:
        match self._link.transport:
            case TransportKind.WEBSOCKET:
                self._down = self._page.handshake()
                for wire in wires:
                    self._put(self._down, wire)
                self._read(self._socket, self._down)
            case TransportKind.SSE:
                self._down = self._page.request("sse", wires)
                self._read(self._stream, self._down)
            case TransportKind.LONGPOLL:
                self._down = self._page.request("poll", wires)
                self._read(self._poll, Request.OPEN, self._down)
            case _:
                assert_never(self._link.transport)

    # Reading

    def _read(self, work: Work, *arguments: Any) -> None:
        page = self._page
        assert self._down is not None
        self._down.blocked = page.unread
        self._reader = page.spawn(work, *arguments)

    async def _socket(self, connection: Connection) -> None:
        code = 1006
        try:
            message = await connection.next(None)
            if message["type"] == "websocket.http.response.start":
                body = (await connection.next(None))["body"].decode()
                self._handle_input(Answer(Request.OPEN, message["status"], body))
                return
            while message["type"] != "websocket.close":
                message = await connection.next(None)
                if message["type"] == "websocket.send":
                    text = message.get("text")
                    self._handle_input(FrameReceived(message["bytes"] if text is None else text))
            code = message["code"]
        except EOFError:
            pass  # the server is gone
        self._handle_input(ConnectionLost(f"closed with {code}", code))

    async def _stream(self, connection: Connection) -> None:
        status = 0
        try:
            head = await asgi.started(connection, None)
            if head.status != 200:
                await self._rest(Request.OPEN, connection, head)
                return
            stream = Stream(connection, head)
            status = 200
            while True:
                self._handle_input(FrameReceived(await stream.wire(None)))
        except EOFError:
            self._handle_input(Answer(Request.OPEN, status))

    async def _poll(self, of: Request, connection: Connection) -> None:
        try:
            head = await asgi.started(connection, None)
            await self._rest(of, connection, head)
        except EOFError:
            self._handle_input(Answer(of, 0))

    async def _post(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(ATTEMPT):
                head = await asgi.started(connection, None)
                await self._rest(Request.POST, connection, head)
        except (EOFError, TimeoutError):
            self._handle_input(Answer(Request.POST, 0))
        finally:
            self._posts.remove(connection)

    async def _rest(self, of: Request, connection: Connection, head: asgi.Answer) -> None:
        await asgi.finished(connection, head, None)
        self._handle_input(Answer(of, head.status, head.body.decode()))

    def _handle_input(self, report: Input) -> None:
        self._page.handle_input(self._link, report)
