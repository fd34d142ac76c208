"""Notices that a server runs the application in several worker processes.

Each of them has sessions of its own, unless a store shares them. Over WebSocket nothing fails then,
and only some pages get a group's message. So the first hub that starts in a worker takes a lock
that the workers of one server share; if another worker has it, and keeps it, there are several.

Only workers do so: processes that `multiprocessing` has started, as uvicorn, hypercorn and granian
do, and those of gunicorn. Servers that were started separately are not compared, although a proxy
may distribute requests over them: nothing tells them from servers that have nothing in common. Nor
does anything tell workers from separate servers that one process starts with `multiprocessing`:
at its start, no server has to listen yet. Those are logged too, and the line says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable

from transport.telemetry.log import WARNING, log_event

CHECK_INTERVAL = 0.5
"""Seconds between two attempts to take the lock."""

CONFIRMED_AFTER = 3.0
"""Seconds after which a lock that is still taken proves that there are several workers. When a
worker is replaced, the old one may run for a moment beside the new one."""

_RUNS, _LOGGED = 0, 1
"""The bytes that are locked: by a worker that runs, and by the one that has logged."""


def watch(loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """Log once, in one of the workers, that this server has several.

    Args:
        loop: the running event loop.

    Returns:
        A function that ends this, for when the worker is told to stop. Idempotent.
    """
    server = _find_server()
    return watch_as_worker(loop, server) if server is not None else lambda: None


def watch_as_worker(loop: asyncio.AbstractEventLoop, server: int) -> Callable[[], None]:
    """Do as `watch` does, in a worker of the server with this process id."""
    global _watch  # noqa: PLW0603 - the lock belongs to the process, and so does this
    if _watch is None:
        try:
            _watch = _Watch(WorkerLock(lock_path(server)), loop)
        except OSError:
            return lambda: None  # no directory for temporary files, or no locks
    return _watch.join()


def lock_path(server: int) -> str:
    """Return the path of the lock that the workers of a server share."""
    return os.path.join(tempfile.gettempdir(), f"onechannel-{os.getuid()}-{server}.lock")


def _find_server() -> int | None:
    """Return the process id of the server whose worker this is; None if this is no worker."""
    if sys.platform == "win32":
        return None  # it has no record locks, and its servers rarely have workers
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        return parent.pid
    return os.getppid() if "gunicorn.arbiter" in sys.modules else None


class WorkerLock:
    """A file of which the bytes can be locked, each by one process, until that process ends.

    Record locks are used because, unlike those of ``flock``, they are not inherited by a process
    that this one forks.

    Args:
        path: of the file. It is created if necessary.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        # The directory is everybody's: do not follow a link that someone has put there.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def take(self, byte: int, count: int = 1) -> bool:
        """Lock bytes, and return whether they were free. They stay locked until `close`."""
        import fcntl  # not on every platform

        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, count, byte)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Release the locks, and remove the file if no other process has one."""
        if self.take(_RUNS, 2):
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        os.close(self._file)


class _Watch:
    """The lock of this process, for as long as one of its hubs runs."""

    def __init__(self, lock: WorkerLock, loop: asyncio.AbstractEventLoop) -> None:
        self._lock = lock
        self._loop = loop
        self._hubs: set[object] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._confirmed_at = loop.time() + CONFIRMED_AFTER
        self._check()

    def join(self) -> Callable[[], None]:
        """Keep the lock until the function that is returned is called."""
        hub = object()
        self._hubs.add(hub)

        def leave() -> None:
            if hub in self._hubs:
                self._hubs.remove(hub)
                if not self._hubs:
                    self._end()

        return leave

    def _check(self) -> None:
        if self._lock.take(_RUNS):
            return
        if self._loop.time() < self._confirmed_at:
            self._timer = self._loop.call_later(CHECK_INTERVAL, self._check)
        elif self._lock.take(_LOGGED):
            log_event(
                WARNING,
                "several_processes",
                "this server has several worker processes, and each has sessions of its own: "
                "groups, broadcast, send_to, close_user and statistics reach those of one process "
                "only, and a resume fails if it reaches another one. Let the workers share them: "
                "Hub(..., store=Workers()), or start one worker. Ignore this if they are separate "
                "servers that one program started with multiprocessing",
            )

    def _end(self) -> None:
        global _watch  # noqa: PLW0603 - see `watch_as_worker`
        if self._timer is not None:
            self._timer.cancel()
        self._lock.close()
        _watch = None


_watch: _Watch | None = None
