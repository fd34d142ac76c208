"""Closes the sockets of a bus in a process that is forked from this one.

The child would keep them open: the others would not learn that this process is gone, and could
reach its name in a process that does not serve.
"""

from __future__ import annotations

import contextlib
import os
from typing import Protocol
from weakref import WeakKeyDictionary


class _Socket(Protocol):
    def fileno(self) -> int: ...


_sockets: WeakKeyDictionary[object, _Socket] = WeakKeyDictionary()


def close_in_child(owner: object, socket: _Socket) -> None:
    """Close a socket in every child that is forked while its owner lives."""
    _sockets[owner] = socket


def _close_all() -> None:
    for socket in _sockets.values():
        with contextlib.suppress(OSError):
            if (number := socket.fileno()) >= 0:
                os.close(number)
    _sockets.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)
