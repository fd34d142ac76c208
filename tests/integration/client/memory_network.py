"""A network in memory, for an event loop with a clock that jumps.

`NetworkLoop.create_connection` connects to uvicorn's own protocols, which serve an ASGI application
in the same loop. So httpx and websockets write the same bytes as over sockets, and every run is
reproducible.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import socket
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.server import ServerState

from transport.testing import JumpingEventLoop

_NEVER_READABLE = os.pipe()[0]


class _FakeSocket:
    """The part of a socket that httpcore reads, to see if the peer closed an idle connection."""

    family = socket.AF_UNIX

    def __init__(self, end: End) -> None:
        self._end = end

    def fileno(self) -> int:
        return -1 if self._end.closing else _NEVER_READABLE

    def getpeername(self) -> tuple[str, int]:
        return ("127.0.0.1", 1)

    getsockname = getpeername

    def setsockopt(self, *_: object) -> None:
        pass


class End(asyncio.Transport):
    """One side of a connection. It runs callbacks in the context in which it was created."""

    peer: End
    protocol: asyncio.Protocol

    def __init__(self, loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> None:
        self.closing = False
        self.over = False
        """Whether its protocol was notified of the end."""
        self.writes = 0
        """How often its protocol has written."""
        self._loop = loop
        self._context = context
        self._paused = False
        self._incoming: deque[bytes | None] = deque()
        """Received data; None says that the other side has closed."""
        names = {"sockname": ("127.0.0.1", 1), "peername": ("127.0.0.1", 2)}
        super().__init__({**names, "socket": None})

    def schedule(self, work: Callable[..., object], *args: object) -> None:
        self._loop.call_soon(work, *args, context=self._context)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return False

    def write(self, data: Any) -> None:
        if data and not self.closing:  # an empty write is not an end of file
            self.writes += 1
            self.peer.schedule(self.peer.feed, bytes(data))

    def feed(self, data: bytes | None) -> None:
        self._incoming.append(data)
        self._deliver()

    def _deliver(self) -> None:
        while self._incoming and not self._paused and not self.closing:
            data = self._incoming.popleft()
            if data is not None:
                self.protocol.data_received(data)
            elif not self.protocol.eof_received():
                self.close()

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        self.schedule(self._deliver)

    def is_reading(self) -> bool:
        return not self._paused and not self.closing

    def close(self) -> None:
        self.end(None)

    def abort(self) -> None:
        self.end(None)

    def end(self, error: Exception | None) -> None:
        if not self.closing:
            self.closing = True
            self.schedule(self._lost, error)
            self.peer.schedule(self.peer.feed, None)

    def _lost(self, error: Exception | None) -> None:
        self.over = True
        self.protocol.connection_lost(error)


class Network:
    """A network between one server and the clients of the loop that creates it.

    Attributes:
        up: whether the server can be reached.
        late: returns the seconds that the next connection takes to arrive.
        ends: the clients' ends of all connections ever made.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.up = True
        self.late: Callable[[], float] = lambda: 0.0
        self.ends: list[End] = []
        self._context = contextvars.copy_context()
        self.serve(app)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, NetworkLoop)
        loop.network = self

    def serve(self, app: ASGIApp) -> None:
        """Let another application serve the port, for connections from now on."""
        self._config = Config(
            app,
            http="h11",
            ws="websockets-sansio",
            ws_ping_interval=None,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
        )
        self._config.load()
        self._state = ServerState()

    def connect(self, factory: Callable[[], asyncio.Protocol]) -> tuple[End, asyncio.Protocol]:
        if not self.up:
            raise ConnectionRefusedError("the server is down")
        loop = asyncio.get_running_loop()
        here, there = End(loop, contextvars.copy_context()), End(loop, self._context.copy())
        here.peer, there.peer = there, here
        here._extra["socket"] = _FakeSocket(here)  # type: ignore[attr-defined]
        here.protocol = factory()
        serve: Any = self._config.http_protocol_class
        there.protocol = serve(self._config, self._state, {}, loop)
        there.schedule(there.protocol.connection_made, there)
        self.ends.append(here)
        here.protocol.connection_made(here)
        return here, here.protocol

    @property
    def writes(self) -> int:
        """Return how often either side of any connection has written."""
        return sum(here.writes + here.peer.writes for here in self.ends)

    def cut(self) -> None:
        """End all connections, and lose the data in transit."""
        for here in self.ends:
            for end in (here, here.peer):
                end.end(ConnectionResetError("cut"))


class NetworkLoop(JumpingEventLoop):
    """An event loop whose connections go through ``network``."""

    network: Network

    async def create_connection(  # type: ignore[override]  # narrowed to what its callers pass
        self, protocol_factory: Callable[[], asyncio.Protocol], *_: object, **__: object
    ) -> tuple[End, asyncio.Protocol]:
        await asyncio.sleep(self.network.late())
        return self.network.connect(protocol_factory)


def in_memory(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on a clock that jumps, over a network in memory."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        with asyncio.Runner(loop_factory=NetworkLoop) as runner:
            runner.run(asyncio.wait_for(test(**fixtures), 1000))

    return run
