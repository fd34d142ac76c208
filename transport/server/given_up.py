"""`GivenUp`: the only write of a session that this process has, but cannot run."""

from __future__ import annotations

from transport.protocol.journal import Image, Release, Write
from transport.stores.journaled import Outcome


class GivenUp:
    """A session that this process has claimed or opened, but cannot run. Implements `Source`."""

    def __init__(self, session_id: str, image: Image) -> None:
        self.id = session_id
        self._write: Write | None = Write(image.home, image.fence, image.version + 1, Release())

    def next_write(self) -> Write | None:
        """See `Source.next_write`."""
        write, self._write = self._write, None
        return write

    def written(self, write: Write, outcome: Outcome) -> None:
        """See `Source.written`: whatever it says, the session is not this process's."""
