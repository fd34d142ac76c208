"""`HomeLink`: the home's end of a connection that an edge has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from transport import codes
from transport.bus.interface import Pipe
from transport.bus.items import End, Frames
from transport.errors import ProtocolError
from transport.server.link import SessionLink
from transport.server.relay.flow import Flow
from transport.telemetry.log import ERROR, log_event


class HomeLink:
    """Passes frames between a session here and the connection of an edge.

    Args:
        pipe: to the edge.
        number: names it on the pipe.
        link: the connection's end of the session.
        on_end: called once nothing more is relayed.

    Attributes:
        writer: the task that relays what is due; it ends with the connection.
    """

    def __init__(
        self, pipe: Pipe, number: int, link: SessionLink, on_end: Callable[[], None]
    ) -> None:
        self._pipe = pipe
        self._number = number
        self._link = link
        self._on_end = on_end
        self._flow = Flow(pipe, number)
        self._taken = asyncio.Event()
        link.abort = self._abort
        self.writer = asyncio.get_running_loop().create_task(self._write())

    @property
    def has_ended(self) -> bool:
        """Whether only the last frames of the connection are left to relay."""
        return self._link.code is not None

    async def _write(self) -> None:
        """Relay what is due until the connection ends."""
        try:
            await self._relay()
        except Exception:  # noqa: BLE001 - a defect of one session; the others go on
            self._fail()

    async def _relay(self) -> None:
        link, flow = self._link, self._flow
        while True:
            # Read before `write`: the last frames may be queued while these are being written.
            ended = link.code
            flow.add(*link.write())
            while flow.waiting:
                self._taken.clear()
                await self._taken.wait()
            if ended is not None:
                self._pipe.send(End(self._number, ended.name, link.close_code))
                self._leave()
                return
            if (due := link.due()) is not None:
                await due

    def frames(self, item: Frames) -> None:
        """Take the client's frames."""
        link = self._link
        if item.taken:
            self.ready(item.taken)
        for encoded in item.frames:
            try:
                link.receive(encoded)
            except ProtocolError as error:
                link.fail(error)
            except Exception:  # noqa: BLE001 - likewise
                self._fail()
                return
        self._flow.took()

    def record_activity(self, now: float) -> None:
        """Learn of a frame of the client that the edge has handled (LIV-3)."""
        self._link.record_activity(now)

    def ready(self, count: int) -> None:
        """Learn that the edge has taken that many items."""
        self._flow.ready(count)
        self._taken.set()

    def lost(self) -> None:
        """Learn that the connection is gone."""
        self.writer.cancel()
        self._leave()

    def _fail(self) -> None:
        log_event(
            ERROR,
            "relay_failed",
            "frames of a client that another worker has could not be read or written. Its "
            "connection ends, and it resumes: please report the exception below",
            exc_info=True,
        )
        self._abort()

    def _abort(self) -> None:
        self._pipe.send(End(self._number, codes.INTERNAL.name, 1011, abort=True))
        self.lost()

    def _leave(self) -> None:
        self._link.lost()
        self._on_end()
