"""`ItemReader`: reads the items of a pipe, of any bus; the first is the hello of the other side."""

from __future__ import annotations

from typing import Protocol, TypeVar

from transport.bus.interface import Pipe
from transport.bus.items import Hello, Item, decode_item, is_unknown
from transport.telemetry.log import ERROR, INFO, log_event


class Readable(Pipe, Protocol):
    """A pipe whose items are read.

    Attributes:
        is_greeted: whether the other side has said its name.
    """

    is_greeted: bool


P_contra = TypeVar("P_contra", bound=Readable, contravariant=True)


class ReaderOwner(Protocol[P_contra]):
    """What is told of the items."""

    def greeted(self, pipe: P_contra) -> None:
        """Learn that the other side has said its name; told once, before its first item."""
        ...

    def received(self, pipe: P_contra, item: Item) -> None:
        """See `Receiver.received`."""
        ...


class ItemReader:
    """Reads the items of one pipe.

    Args:
        owner: told of them.
        pipe: that they come on.
    """

    def __init__(self, owner: ReaderOwner[P_contra], pipe: P_contra) -> None:
        self._owner = owner
        self._pipe = pipe
        self._release = ""
        self._has_logged_unknown = False

    def read(self, data: bytes) -> bool:
        """Take an encoded item; return False if the pipe must end, because of a defect."""
        try:
            self._take(decode_item(data))
        except Exception as error:  # noqa: BLE001 - a defect; the other pipes go on
            if not (self._pipe.is_greeted and is_unknown(data)):
                self.fail(error)
                return False
            self._log_unknown()
        return True

    def _take(self, item: Item) -> None:
        pipe = self._pipe
        if pipe.is_greeted:
            self._owner.received(pipe, item)
            return
        if not isinstance(item, Hello) or pipe.peer not in ("", item.name):
            raise ValueError(
                f"the first item of a pipe must be the hello of {pipe.peer or 'its peer'}"
            )
        pipe.is_greeted = True
        pipe.peer = item.name
        self._release = item.release
        self._owner.greeted(pipe)

    def _log_unknown(self) -> None:
        """Log, once, that another release runs beside this one."""
        if not self._has_logged_unknown:
            self._has_logged_unknown = True
            log_event(
                INFO,
                "unknown_item",
                "another worker of this server runs a later release, and sent what this one does "
                "not know and ignores: replace this worker, too",
                peer=self._pipe.peer,
                release=self._release,
            )

    def fail(self, error: Exception) -> None:
        """Log why the pipe ends."""
        log_event(
            ERROR,
            "pipe_failed",
            "what another worker of this server sent could not be handled, so the pipe to it is "
            "opened anew: please report the exception below",
            peer=self._pipe.peer,
            exc_info=error,
        )
