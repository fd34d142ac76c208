"""`Listener`: accepts the connections of other processes, on a Unix socket."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from transport.bus import forks
from transport.telemetry.log import ERROR, log_event

_BACKLOG = 512

_NO_ROOM = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_RETRY = 1.0
"""Seconds after which connections are accepted again when the system has no room for another."""


class Listener:
    """Listens from its creation to `close`.

    asyncio's own servers accept in a turn of the loop of their own, and tell of a connection some
    turns later. A child that is forked meanwhile would keep it, and a server that closes would
    leave it open.

    Args:
        path: of the socket. It appears there once it listens: what is seen there answers.
        accepted: called with each connection. A child that is forked does not have it.

    Raises:
        OSError: the socket cannot be made.
    """

    def __init__(self, path: Path, accepted: Callable[[socket.socket], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._accepted = accepted
        self._retry: asyncio.TimerHandle | None = None
        self._has_room = True
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        draft = path.with_name(f".{secrets.token_hex(4)}")
        try:
            self._socket.bind(str(draft))
            self._socket.listen(_BACKLOG)
            self._socket.setblocking(False)
            draft.rename(path)
        except BaseException:
            self._socket.close()
            draft.unlink(missing_ok=True)
            raise
        forks.close_in_child(self._socket)
        self._listen()

    def close(self) -> None:
        """Listen no longer. Idempotent, and also of a closed loop."""
        if self._socket.fileno() < 0:
            return
        self._path.unlink(missing_ok=True)
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
            if self._retry is not None:
                self._retry.cancel()
        self._socket.close()

    def _listen(self) -> None:
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        for _ in range(_BACKLOG):
            try:
                one, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._pause()
                return
            self._has_room = True
            forks.close_in_child(one)
            one.setblocking(False)
            self._accepted(one)

    def _pause(self) -> None:
        """Accept nothing for a while: the socket would be reported as readable all the time."""
        self._loop.remove_reader(self._socket)
        self._retry = self._loop.call_later(_RETRY, self._listen)
        if not self._has_room:
            return  # it was logged
        self._has_room = False
        log_event(
            ERROR,
            "workers_failed",
            "this worker cannot accept the connection of another: the system has no room for it. "
            "Raise the limit on open files (ulimit -n)",
            exc_info=True,
        )
