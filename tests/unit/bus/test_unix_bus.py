"""Workers find each other by their sockets, whatever happens to these, and bound what waits."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw, msgpack

from transport.bus import unix_bus, unread
from transport.bus.directory import Directory
from transport.bus.interface import Pipe
from transport.bus.items import Answer, Call, Cancel, Item
from transport.bus.pipe import UnixPipe
from transport.bus.unix_bus import UnixBus

DEADLINE = 30.0


class Log:
    """A receiver that keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.ways: list[tuple[str, bool]] = []
        """The peers of the pipes that have opened, and whether this process opened them."""
        self.items: list[Item] = []
        self.pipes: list[Pipe] = []
        self._changed = asyncio.Event()

    def received(self, pipe: Pipe, item: Item) -> None:
        if pipe not in self.pipes:
            self.pipes.append(pipe)
        self.items.append(item)
        self._changed.set()

    def opened(self, pipe: Pipe) -> None:
        self.ways.append((pipe.peer, pipe.is_own))
        self._changed.set()

    def ended(self, pipe: Pipe) -> None:
        self._tell("ended", pipe.peer)

    def joined(self, name: str) -> None:
        self._tell("joined", name)

    def left(self, name: str) -> None:
        self._tell("left", name)

    def _tell(self, what: str, name: str) -> None:
        self.events.append((what, name))
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def count_calls(owner: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each call of a method."""
    calls: list[str] = []
    method = getattr(owner, name)

    def count() -> Any:
        calls.append(name)
        return method()

    monkeypatch.setattr(owner, name, count)
    return calls


async def poll(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not condition():  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unix_bus, "LOOK_INTERVAL", 0.05)


@asynccontextmanager
async def joined(folder: Path) -> AsyncIterator[tuple[UnixBus, Log]]:
    """A bus in the directory of the tests, and what it tells."""
    bus, log = UnixBus(Directory("hub", folder / "w")), Log()
    await bus.start(log)
    try:
        yield bus, log
    finally:
        bus.stop()
        await close_transports()


async def close_transports() -> None:
    """Let the loop close what has ended, also connections that it was just accepting."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_start_waits_for_the_pipes_of_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They send what they decide over their own pipes, also to a worker that has just come."""
    async with joined(folder) as (a, _):
        connect, loop = a._connect_soon, asyncio.get_running_loop()
        monkeypatch.setattr(a, "_connect_soon", lambda name: loop.call_later(0.1, connect, name))
        async with joined(folder) as (b, seen):
            assert sorted(seen.ways) == [(a.name, False), (a.name, True)]
            assert b.receives_from(a.name)


async def test_start_is_not_delayed_by_a_worker_without_pipe(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It greets, and is stopped before it connects."""
    monkeypatch.setattr(unix_bus, "HELLO_WITHIN", 0.05)
    async with joined(folder) as (a, _):
        monkeypatch.setattr(a, "_connect_soon", lambda name: None)
        async with joined(folder) as (b, seen):
            assert seen.ways == [(a.name, True)]
            assert b.is_alive(a.name)
            assert not b.receives_from(a.name)


async def test_start_notices_that_an_awaited_worker_has_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix_bus, "HELLO_WITHIN", 3600.0)
    monkeypatch.setattr(unix_bus, "LOOK_INTERVAL", 3600.0)
    async with joined(folder) as (a, _):
        monkeypatch.setattr(
            a, "_connect_soon", lambda name: asyncio.get_running_loop().call_soon(a.stop)
        )
        async with joined(folder) as (b, seen):
            await seen.until(lambda: ("left", a.name) in seen.events)
            assert b.peers == set()


async def test_pipe_of_another_that_was_cut_is_told_when_back(folder: Path) -> None:
    async with joined(folder) as (a, _), joined(folder) as (b, seen):
        await poll(lambda: b.receives_from(a.name))
        [accepted] = b._accepted
        accepted.end()
        await seen.until(lambda: ("ended", a.name) in seen.events)
        await seen.until(lambda: seen.ways.count((a.name, False)) == 2)
        assert b.receives_from(a.name)
        assert seen.ways.count((a.name, True)) == 1


async def test_items_for_a_worker_that_is_gone_are_not_logged(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that are sent before its end is told. asyncio would log each."""
    async with joined(folder) as (a, _), joined(folder) as (b, _):
        await poll(lambda: b.receives_from(a.name))
        [accepted] = b._accepted
        accepted._socket.shutdown(socket.SHUT_RDWR)
        for number in range(20):
            a.pipe_to(b.name).send(Cancel(number))
        assert caplog.text == ""


async def test_items_are_read_before_a_worker_leaves(folder: Path) -> None:
    """More than the socket takes at once, while the other one sends, too."""
    async with joined(folder) as (a, seen_a), joined(folder) as (b, _):
        for number in range(300):
            b.pipe_to(a.name).send(Call(number, "x" * 10_000, Raw(b"\xc0")))
            a.pipe_to(b.name).send(Cancel(number))
        await b.leave()
        assert len(seen_a.items) == 300
        await seen_a.until(lambda: ("left", b.name) in seen_a.events)


async def test_workers_that_leave_together_do_not_wait(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unix_bus, "LEAVE_WITHIN", 3600.0)
    async with asyncio.timeout(DEADLINE), joined(folder) as (a, _), joined(folder) as (b, _):
        await asyncio.gather(a.leave(), b.leave())
        assert not a.directory.names()


async def test_worker_that_reads_nothing_does_not_keep_another(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stopped; a worker that leaves waits for a bounded time."""
    monkeypatch.setattr(unix_bus, "HELLO_WITHIN", 0.05)
    monkeypatch.setattr(unix_bus, "LEAVE_WITHIN", 0.05)
    directory = Directory("hub", folder / "w")
    name = f"{directory.tag}00000000"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(directory.socket(name)))
        one.listen()
        async with asyncio.timeout(DEADLINE), joined(folder) as (a, _):
            a.pipe_to(name).send(Call(1, "x" * 3_000_000, Raw(b"\xc0")))
            await a.leave()


async def test_name_of_other_directory_is_not_known(folder: Path) -> None:
    async with joined(folder) as (a, _), joined(folder / "other") as (b, _):
        assert a.peers == set()
        assert a.is_alive(b.name) is None
        assert a.is_alive("") is None


async def test_worker_without_a_socket_file_lives(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cleaner has removed it, and then a pipe ends; the worker's own pipe is still open."""
    monkeypatch.setattr(unix_bus, "LOOK_INTERVAL", 3600.0)
    async with joined(folder) as (a, seen_a), joined(folder) as (b, seen_b):
        await seen_a.until(lambda: bool(a.peers))
        a.directory.socket(a.name).unlink()
        b.pipe_to(a.name).end()
        await seen_b.until(lambda: ("ended", a.name) in seen_b.events)
        await poll(lambda: not b._connecting)
        assert b.is_alive(a.name)
        assert ("left", a.name) not in seen_b.events
        a.stop()
        await seen_b.until(lambda: ("left", a.name) in seen_b.events)


async def test_worker_that_is_not_known_yet_is_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has come since the last look, as while this process was stopped."""
    monkeypatch.setattr(unix_bus, "LOOK_INTERVAL", 3600.0)
    async with joined(folder) as (a, _):
        async with joined(folder) as (b, _):
            await poll(lambda: bool(a.peers) and not a._connecting)
            a._pipes.pop(b.name).end()
            assert await a.look_for(b.name)
            assert a.pipe_to(b.name).is_open
            monkeypatch.setattr(a, "_connect", too_many_files)
            a._pipes.pop(b.name).end()
            assert await a.look_for(b.name), "whether it lives is not known"
            monkeypatch.undo()
        assert not await a.look_for(b.name)


async def too_many_files(name: str) -> bool:
    return False


async def test_name_that_leads_elsewhere_is_not_ours(folder: Path) -> None:
    """Clients name it, in their tokens."""
    async with joined(folder) as (a, _):
        assert a.is_alive(f"{a.name[:4]}/../abcd") is None


async def test_socket_of_dead_worker_is_removed(folder: Path) -> None:
    directory = Directory("hub", folder / "w")
    dead = directory.socket(f"{directory.tag}00000000")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(dead))
    async with joined(folder) as (a, seen):
        assert not dead.exists()
        assert a.peers == set()
        assert seen.events == []


async def test_worker_that_answers_nothing_lives(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It accepts, as the kernel does for a process that is stopped."""
    monkeypatch.setattr(unix_bus, "HELLO_WITHIN", 0.05)
    directory = Directory("hub", folder / "w")
    name = f"{directory.tag}00000000"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(directory.socket(name)))
        one.listen()
        async with joined(folder) as (a, seen):
            assert a.is_alive(name)
            assert seen.events == [("joined", name)]


@pytest.mark.parametrize("what", ["socket", "secret", "directory"])
async def test_removed_file_is_put_back(folder: Path, what: str) -> None:
    async with joined(folder) as (a, _):
        path = a.directory.path
        removed = {"socket": [a.directory.socket(a.name)], "secret": [path / "secret"]}
        for file in removed.get(what, list(path.iterdir())):
            file.unlink()
        if what == "directory":
            path.rmdir()
        await poll(lambda: a.directory.socket(a.name).exists() and (path / "secret").exists())
        async with joined(folder) as (b, _):
            assert b.secret == a.secret
            assert b.peers == {a.name}


async def test_directory_that_others_may_write_is_logged_once(
    folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with joined(folder) as (a, _):
        a.directory.path.chmod(0o755)
        await poll(lambda: "workers_failed" in caplog.text)
        looks = count_calls(a.directory, "keep", monkeypatch)
        await poll(lambda: len(looks) > 2)
        assert caplog.text.count("workers_failed") == 1
        a.directory.path.chmod(0o700)


@pytest.mark.parametrize(
    "sent", [b"\x00\x00\x00\x01\xc0", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00"]
)
async def test_bytes_that_are_no_item_end_the_pipe(
    folder: Path, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with joined(folder) as (a, _):
        reader, writer = await asyncio.open_unix_connection(str(a.directory.socket(a.name)))
        writer.write(sent)
        async with asyncio.timeout(DEADLINE):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(10_000)
        writer.close()
        assert "pipe_failed" in caplog.text


async def test_item_of_a_later_release_is_ignored(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While one release replaces the other; a field that is not known is ignored, too."""
    caplog.set_level("INFO")
    async with joined(folder) as (a, seen):
        _, writer = await asyncio.open_unix_connection(str(a.directory.socket(a.name)))
        sent = [
            {"type": "hello", "name": f"{a.name[:4]}00000000", "release": "9.9", "colour": "red"},
            {"type": "news", "text": "x"},
            {"type": "cancel", "id": 1, "colour": "red"},
            {"type": "news", "text": "y"},
            {"type": "cancel", "id": 2},
        ]
        for each in map(msgpack.encode, sent):
            writer.write(len(each).to_bytes(4, "big") + each)
        await seen.until(lambda: seen.items == [Cancel(1), Cancel(2)])
        writer.close()
        assert caplog.text.count("unknown_item") == 1
        assert "release=9.9" in caplog.text
        assert "pipe_failed" not in caplog.text


async def test_pipe_to_slow_worker_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at a broadcast to many links, all sent before the loop can write any."""
    monkeypatch.setattr(unread, "MAX_UNREAD", 100_000)
    async with joined(folder) as (a, seen), joined(folder) as (b, _):
        for number in range(300):
            b.pipe_to(a.name).send(Call(number, "x" * 10_000, Raw(b"\xc0")))
        await seen.until(lambda: len(seen.items) == 300)


@pytest.mark.parametrize("bound", ["STUCK_AFTER", "MOST_UNREAD"])
async def test_pipe_to_worker_that_reads_nothing_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, bound: str
) -> None:
    """Memory is bounded however much is sent to a process that is stopped."""
    monkeypatch.setattr(unread, "MAX_UNREAD", 100_000)
    monkeypatch.setattr(unread, bound, 0.0)
    monkeypatch.setattr(unix_bus, "HELLO_WITHIN", 0.05)
    directory = Directory("hub", folder / "w")
    name = f"{directory.tag}00000000"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(directory.socket(name)))
        one.listen()
        async with joined(folder) as (a, seen):
            pipe = a.pipe_to(name)
            while pipe.is_open:
                pipe.send(Answer(1, Raw(msgpack.encode("x" * 10_000))))
            await seen.until(lambda: ("ended", name) in seen.events)
        assert "pipe_ended" in caplog.text


async def test_forked_child_keeps_no_socket_open(folder: Path) -> None:
    """Otherwise the others would not learn that its parent is gone."""
    async with joined(folder) as (a, seen), joined(folder) as (b, seen_b):
        b.pipe_to(a.name).send(Cancel(1))
        await seen.until(lambda: bool(seen.items))
        a.pipe_to(b.name).send(Cancel(1))
        await seen_b.until(lambda: bool(seen_b.items))
        with forked_child():
            b.stop()
            await seen.until(lambda: ("left", b.name) in seen.events)


async def test_child_that_is_forked_in_an_accept_keeps_no_socket(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is accepted, and the pipe is not made yet."""
    with ExitStack() as children:

        class ForkingPipe(UnixPipe):
            def __init__(self, *args: Any) -> None:
                if len(args) == 3:  # accepted
                    children.enter_context(forked_child())
                super().__init__(*args)

        async with joined(folder) as (a, _):
            monkeypatch.setattr(unix_bus, "UnixPipe", ForkingPipe)
            async with joined(folder) as (_, seen):
                a.stop()
                await seen.until(lambda: ("left", a.name) in seen.events)


@contextmanager
def forked_child() -> Iterator[None]:
    """A child that is forked now, and waits to be killed."""
    forked, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(tell, b"x")
        signal.pause()
    try:
        os.read(forked, 1)
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(forked)
        os.close(tell)
