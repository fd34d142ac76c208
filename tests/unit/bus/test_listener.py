"""A listener accepts each connection once, also when the system had no room for it at first."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from transport.bus import listener
from transport.bus.listener import Listener

DEADLINE = 30.0


async def test_connection_waits_until_there_is_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "_RETRY", 0.01)
    accept, failures = socket.socket.accept, [errno.EMFILE, errno.ENFILE]

    def accept_later(one: socket.socket) -> Any:
        if failures:
            raise OSError(failures.pop(), "too many open files")
        return accept(one)

    monkeypatch.setattr(socket.socket, "accept", accept_later)
    accepted: asyncio.Queue[socket.socket] = asyncio.Queue()
    listening = Listener(folder / "one", accepted.put_nowait)
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(str(folder / "one"))
        async with asyncio.timeout(DEADLINE):
            (await accepted.get()).close()
    listening.close()
    assert caplog.text.count("ulimit -n") == 1, "once, not at each attempt"
    assert not (folder / "one").exists()


async def test_socket_that_cannot_be_made_leaves_nothing(folder: Path) -> None:
    (folder / "one").mkdir()
    with pytest.raises(OSError, match="directory"):
        Listener(folder / "one", lambda one: one.close())
    assert os.listdir(folder) == ["one"]
