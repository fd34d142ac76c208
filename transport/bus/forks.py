"""Closes the sockets of a bus in a process that is forked from this one.

The child would keep them open: the others would not learn that this process is gone, and could
reach its name in a process that does not serve.
"""

from __future__ import annotations

import contextlib
import os
from socket import socket
from weakref import WeakSet

_sockets: WeakSet[socket] = WeakSet()


def close_in_child(one: socket) -> None:
    """Close a socket in every child that is forked while it is open."""
    _sockets.add(one)


def _close_all() -> None:
    for one in _sockets:
        with contextlib.suppress(OSError):
            if (number := one.detach()) >= 0:  # whoever else closes it closes no other file
                os.close(number)
    _sockets.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)
