"""Closes the sockets of a bus in a process that is forked from this one.

The child would keep them open: the others would not learn that this process is gone, and could
reach its name in a process that does not serve.
"""

from __future__ import annotations

import contextlib
import os
from socket import socket
from typing import Protocol
from weakref import WeakSet


class HasFile(Protocol):
    """What has an open file, perhaps."""

    def fileno(self) -> int:
        """Return its number; -1 if it is closed."""
        ...


_sockets: WeakSet[socket] = WeakSet()
_silenced: WeakSet[HasFile] = WeakSet()


def close_in_child(one: socket) -> None:
    """Close a socket in every child that is forked while it is open."""
    _sockets.add(one)


def silence_in_child(one: HasFile) -> None:
    """Close a socket that belongs to others in every child that is forked while it is open.

    Its number keeps standing for a file, one that takes and gives nothing: its owner closes it in
    the child too, and must close no other.
    """
    _silenced.add(one)


def _close_all() -> None:
    for one in _sockets:
        with contextlib.suppress(OSError):
            if (number := one.detach()) >= 0:  # whoever else closes it closes no other file
                os.close(number)
    _sockets.clear()
    for each in _silenced:
        with contextlib.suppress(OSError):
            if (number := each.fileno()) >= 0:
                nothing = os.open(os.devnull, os.O_RDWR)
                os.dup2(nothing, number, inheritable=False)
                os.close(nothing)
    _silenced.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)
