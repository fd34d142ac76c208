"""Several workers of one server without a shared store: each kind of server, noticed at start-up.

With one worker, and under ``--reload``, nothing is logged.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import struct
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from tests.integration.hosts.hosts import eventually
from tests.support.clients.tcp_client import request_bytes, tcp_client
from tests.support.servers.uvicorn import UVICORN, Server, serving
from tests.support.servers.workers import NAMES, workers
from transport.hosts import processes

APP = "tests.integration.hosts.apps:alone"
EVENT = "several_processes"
RUNS, LOGGED = 0, 1
"""The bytes of the lock."""


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def lines(server: Server) -> list[str]:
    return [line for line in server.log if EVENT in line]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory in which servers put their locks, instead of that of the system."""
    directory = tmp_path / "locks"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    return directory


def locks(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def holder(directory: Path, byte: int) -> int | None:
    """Return the process that has locked a byte of the only lock, or None."""
    paths = locks(directory)
    if not paths:
        return None
    [path] = paths
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
    with path.open("rb+") as file:
        kind, _, _, _, pid = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else int(pid)


async def until_held(directory: Path, pid: int) -> None:
    """Wait until the worker with this process id has the lock, after which it logs nothing."""

    async def is_held() -> bool:
        return holder(directory, RUNS) == pid

    await eventually(is_held)
    assert holder(directory, LOGGED) is None


def newest_worker(server: Server) -> int:
    """Return the process id of the worker that was started last."""
    return [
        int(found.group(1))
        for line in server.log
        if (found := re.search(r"Started server process \[(\d+)\]", line))
    ][-1]


@pytest.mark.parametrize(("name", "count"), [*((name, 2) for name in NAMES), ("uvicorn", 3)])
async def test_several_workers_are_logged_once(name: str, count: int, directory: Path) -> None:
    host, arguments = workers(name, count)
    async with serving(APP, *arguments, host=host) as server:
        await server.until_log(EVENT)
        # Only the worker that holds this lock logs.
        assert holder(directory, LOGGED) not in (None, holder(directory, RUNS))
    [line] = lines(server)
    for call in ("groups", "broadcast", "send_to", "close_user", "statistics", "resume"):
        assert call in line
    assert "store=Workers()" in line


async def test_one_worker_is_not_logged(name: str, directory: Path) -> None:
    host, arguments = workers(name, 1)
    async with serving(APP, *arguments, host=host) as server:
        # A worker of granian that has just been started does not stop if it is told to.
        async with tcp_client(server.port) as wire:
            await wire.write(request_bytes("GET", "/"))
            assert (await wire.answer("GET")).status < 500
        assert holder(directory, LOGGED) is None
    assert lines(server) == []


async def test_shared_store_takes_no_lock(directory: Path) -> None:
    host, arguments = workers("uvicorn", 2)
    async with serving("tests.integration.hosts.shared_store:app", *arguments, host=host):
        assert locks(directory) == []


async def test_workers_by_environment_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "2")
    host = replace(UVICORN, ready="Application startup complete", processes=2)
    async with serving(APP, "--no-access-log", host=host) as server:
        await server.until_log(EVENT)


async def test_separate_servers_take_no_lock(directory: Path) -> None:
    """They have the same parent, and each has one worker."""
    async with serving(APP, "--no-access-log"), serving(APP, "--no-access-log"):
        assert locks(directory) == []


async def test_reload_is_not_logged(tmp_path: Path, directory: Path) -> None:
    """The process that takes over starts when the other has ended."""
    module = tmp_path / "reloaded.py"
    module.write_text("from tests.integration.hosts.apps import alone as app\n", "utf-8")
    arguments = ["--reload", "--reload-dir", str(tmp_path), "--app-dir", str(tmp_path)]
    reloader = replace(UVICORN, ready="Application startup complete")
    async with serving("reloaded:app", *arguments, host=reloader) as server:
        with anyio.fail_after(30):
            while not any("detected changes" in line for line in server.log):
                module.write_text(module.read_text("utf-8") + "#\n", "utf-8")
                await anyio.sleep(0.2)  # the reloader may not watch yet
        await server.until_log("Application startup complete", 2)
        await until_held(directory, newest_worker(server))
    assert lines(server) == []


async def test_replaced_worker_is_not_logged(directory: Path) -> None:
    """On SIGHUP gunicorn starts the new worker before it stops the old one."""
    host, arguments = workers("gunicorn", 1)
    async with serving(APP, *arguments, host=host) as server:
        for count in (2, 3):
            os.kill(server.pid, signal.SIGHUP)
            await server.until_log("Application startup complete", count)
            await until_held(directory, newest_worker(server))
    assert lines(server) == []


async def test_lock_of_stopped_server_is_removed(directory: Path) -> None:
    host, arguments = workers("uvicorn", 2)
    async with serving(APP, *arguments, host=host) as server:
        await server.until_log(EVENT)
        [lock] = locks(directory)
        assert re.search(rf"-{server.pid}\.lock$", lock.name)
        assert lock.stat().st_mode & 0o777 == 0o600
    assert locks(directory) == []


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A path below which no file can be made, for any user."""
    blocked = tmp_path / "file"
    blocked.write_text("", "utf-8")
    return blocked


async def test_server_without_writable_directory_starts(
    unwritable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "lock_path", lambda _: str(unwritable / "lock"))
    processes.watch_as_worker(asyncio.get_running_loop(), 1)()
