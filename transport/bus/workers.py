"""`Workers`: several worker processes of one machine serve the sessions of a hub."""

from __future__ import annotations

import os

from transport.bus.directory import Directory
from transport.bus.interface import Bus
from transport.bus.unix_bus import UnixBus


class Workers:
    """The workers of one server on one machine: ``Hub(handler, store=Workers())``.

    Any worker serves any request of any session, over every transport, without sticky sessions. A
    session lives in the memory of the worker that opened it, and ends with it.

    Args:
        directory: where the workers find each other. By default one in the directory for temporary
            files that belongs to the server that started them; or the variable
            ``ONECHANNEL_WORKERS``. Name one if the workers have different parents. It must belong
            to the user and have mode 0700; it is created if it does not exist.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self._directory = directory

    def bus(self, hub: str) -> Bus:
        """Return the bus of a hub, by its name; called when the hub starts in a process.

        Raises:
            RuntimeError: the directory cannot be used; the message says why, and what to do.
        """
        return UnixBus(Directory(hub, self._directory))
