"""`Workers`: several worker processes of one machine serve the sessions of a hub."""

from __future__ import annotations

import os

from transport.bus.directory import Directory
from transport.bus.unix_bus import UnixBus


class Workers:
    """The workers of one server on one machine: ``Hub(handler, store=Workers())``.

    Any worker serves any request of any session, over every transport, without sticky sessions. A
    session lives in the memory of the worker that opened it, and ends with it. See docs/workers.md.

    Args:
        directory: where the workers find each other, as in ``Workers("/run/app")``. By default it
            is what the variable ``ONECHANNEL_WORKERS`` names, or else a directory of its own for
            each server that starts workers, among the system's temporary files. Name one if the
            workers have different parents. It must belong to the user and have mode 0700; it is
            created if it does not exist. Hubs of different names may share it.

    A hub raises RuntimeError when it starts in a process, and so the server does not start, if the
    directory cannot be used: others can write there, its path is too long for a socket, or the
    system has no Unix sockets (Windows). The message says what to do.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self._directory = directory

    def bus(self, hub: str) -> UnixBus:
        """Return the bus of a hub, by its name; called when the hub starts in a process.

        Raises:
            RuntimeError: the directory cannot be used; the message says why, and what to do.
        """
        return UnixBus(Directory(hub, self._directory))
