"""`Workers`: several worker processes of one machine serve the sessions of a hub."""

from __future__ import annotations

import os
from pathlib import Path
from weakref import WeakValueDictionary

from transport.bus.directory import Directory
from transport.bus.shared import Joined, SharedStore
from transport.bus.unix_bus import UnixBus
from transport.limits import Limits


class Workers(SharedStore):
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

    _may_share = False

    def __init__(self, directory: str | os.PathLike[str] | None = None) -> None:
        self._directory = directory

    def join(self, hub: str, limits: Limits) -> Joined:
        """Return the bus of a hub, by its name; called when the hub starts in a process.

        Raises:
            RuntimeError: the directory cannot be used, or another hub of this process uses it; the
                message says why, and what to do.
        """
        bus = UnixBus(Directory(hub, self._directory))
        if not self._may_share:
            _refuse_second(hub, bus)
        return Joined(bus)


class SharedWorkers(Workers):
    """Workers of which several may be in one process, as in tests."""

    _may_share = True


_buses: WeakValueDictionary[tuple[int, Path], UnixBus] = WeakValueDictionary()
"""Those of this process, and perhaps of the one from which it was forked."""


def _refuse_second(hub: str, bus: UnixBus) -> None:
    key = os.getpid(), bus.directory.path
    other = _buses.get(key)
    if other is not None and other.is_running:
        raise RuntimeError(
            f"two hubs of this process have the name {hub!r} and the same Workers, so each would "
            "serve the sessions of the other: give each a name of its own, as in "
            'Hub(handler, store=Workers(), name="chat"), the same in all workers'
        )
    _buses[key] = bus
