"""Writes of many sessions in commands, against a real Redis."""

from __future__ import annotations

import hiredis
import pytest
from msgspec.structs import replace

from tests.support.clients.redis_commands import RedisCommands
from tests.support.servers.redis import RedisServer
from tests.unit.stores.redis.stored import HOME, IMAGE, Stored, failed, step
from transport.protocol.journal import End, Heal, Refusal, Release, Write
from transport.stores.journaled import Made
from transport.stores.redis.writes import MOST_ARGUMENTS, MOST_BYTES, MOST_SESSIONS


def _write(version: int = 1, **marks: object) -> Write:
    return Write(HOME, 1, version, step(**marks))  # type: ignore[arg-type]


# Commands


def _arguments(packed: bytes) -> int:
    return int(packed[1 : packed.index(b"\r")])


async def test_command_has_at_most_64_sessions(stored: Stored) -> None:
    names = [f"s{number}" for number in range(2 * MOST_SESSIONS + 1)]
    for name in names:
        assert isinstance(stored.open(name), Made)
    commands = stored.writer.pack((name, _write(payloads=("1",))) for name in names)
    assert [len(command.places) for command in commands] == [64, 64, 1]
    assert [place for command in commands for place in command.places] == [*range(129)]
    outcomes = stored.write({name: _write(payloads=("1",)) for name in names})
    assert outcomes == dict.fromkeys(names)
    assert all(stored.log(name) == [b"1"] for name in names)


async def test_command_is_bounded_in_arguments_and_bytes(stored: Stored) -> None:
    many = {f"s{number}": _write(payloads=("1",) * 1000) for number in range(8)}
    commands = stored.writer.pack(many.items())
    assert [len(command.places) for command in commands] == [3, 3, 2]
    assert all(_arguments(command.packed) <= MOST_ARGUMENTS for command in commands)
    large = {f"s{number}": _write(payloads=("1" * 300_000,)) for number in range(8)}
    commands = stored.writer.pack(large.items())
    assert [len(command.places) for command in commands] == [3, 3, 2]
    assert all(len(command.packed) <= MOST_BYTES for command in commands)


async def test_step_above_all_bounds_has_its_own_command(stored: Stored) -> None:
    """Redis takes more values than Lua can pass in one call."""
    payloads = tuple(f'"{"x" * 200}{number}"' for number in range(9000))
    stored.open("large")
    stored.open("small")
    outcomes = stored.write({"large": _write(payloads=payloads), "small": _write()})
    assert outcomes == {"large": None, "small": None}
    assert stored.log("large") == [payload.encode() for payload in payloads]
    assert 0 < stored.lasts(stored.keys.log("large")) <= stored.lives.log
    healed = replace(IMAGE, version=2, last=9000, payloads=payloads)
    assert stored.change("large", 2, Heal(healed, idle=0)) is None
    assert stored.log("large") == [payload.encode() for payload in payloads]


async def test_session_of_many_topics_is_stored(stored: Stored) -> None:
    """Redis takes more fields than Lua can pass in one call."""
    cursors: dict[str, int | None] = {f"topic {number}": number for number in range(9000)}
    stored.open("one")
    assert stored.change("one", 1, step(cursors=cursors)) is None
    found = stored.located("one")
    assert found is not None
    assert found.cursors == cursors
    assert stored.change("one", 2, Heal(replace(found, version=2), idle=0)) is None
    healed = stored.located("one")
    assert healed == replace(found, version=2, seen=healed.seen if healed else 0)
    assert stored.change("one", 3, step(cursors=dict.fromkeys(cursors))) is None
    assert stored.located("one") == replace(healed, version=3, cursors={})


async def test_rarer_writes_follow_the_steps(stored: Stored) -> None:
    for name in ("ended", "released", "stepped", "healed"):
        stored.open(name)
    writes = {
        "ended": Write(HOME, 1, 1, End(b"tombstone")),
        "released": Write(HOME, 1, 1, Release()),
        "stepped": _write(),
        "healed": Write(HOME, 1, 1, Heal(replace(IMAGE, version=1), idle=0)),
        "unknown": _write(),
    }
    commands = stored.writer.pack(writes.items())
    assert [command.places for command in commands] == [(2, 4), (0,), (1,), (3,)]
    assert stored.write(writes) == {**dict.fromkeys(writes), "unknown": Refusal.GONE}


async def test_log_that_expired_is_found_and_healed(stored: Stored) -> None:
    """As after an outage that was longer than its life: its home still has the messages."""
    stored.open("one")
    stored.change("one", 1, step(payloads=("1", "2")))
    stored.redis.call("PEXPIRE", stored.keys.log("one"), 0)
    assert stored.change("one", 2, step(first=3, payloads=("3",))) is Refusal.BEHIND
    healed = replace(IMAGE, version=3, last=3, payloads=("1", "2", "3"))
    assert stored.change("one", 3, Heal(healed, idle=0)) is None
    assert stored.change("one", 4, step(first=4, payloads=("4",), acked=1)) is None
    assert stored.log("one") == [b"2", b"3", b"4"]


# Errors of one session


async def test_key_of_wrong_type_fails_its_session_only(stored: Stored) -> None:
    names = [f"s{number}" for number in range(8)]
    for name in names:
        stored.open(name)
    stored.redis.call("SET", stored.keys.record("s2"), "text")
    stored.redis.call("SET", stored.keys.log("s5"), "text")
    outcomes = stored.write({name: _write(payloads=("1",)) for name in names})
    for name in ("s2", "s5"):
        assert failed(outcomes.pop(name)).startswith("WRONGTYPE")
    assert outcomes == {name: None for name in names if name not in ("s2", "s5")}
    found = stored.located("s5")
    assert found is not None
    assert found.version == 0  # nothing of it was changed


async def test_end_removes_a_key_of_wrong_type(stored: Stored) -> None:
    stored.open("record")
    stored.open("log")
    stored.redis.call("SET", stored.keys.record("record"), "text")
    stored.redis.call("SET", stored.keys.log("record"), "text")
    stored.redis.call("SET", stored.keys.log("log"), "text")
    assert stored.change("record", 1, End(b"x")) is Refusal.GONE
    assert stored.redis.call("EXISTS", stored.keys.record("record"), stored.keys.log("record")) == 0
    assert stored.change("log", 1, End(b"x")) is None
    assert stored.redis.call("EXISTS", stored.keys.log("log")) == 0


async def test_damaged_record_fails_its_session_only(stored: Stored) -> None:
    stored.open("damaged")
    stored.open("whole")
    for field in ("a", "l", "v"):
        stored.redis.call("HDEL", stored.keys.record("damaged"), field)
        outcomes = stored.write({"damaged": _write(payloads=("1",)), "whole": _write()})
        assert "nil" in failed(outcomes["damaged"])
        assert outcomes["whole"] is None
        assert stored.log("damaged") == []


# Errors of the server


async def test_forgotten_script_is_answered_and_loaded(stored: Stored) -> None:
    stored.open("one")
    stored.redis.call("SCRIPT", "FLUSH")
    with pytest.raises(hiredis.ReplyError, match="NOSCRIPT"):
        stored.change("one", 1, step())
    stored.redis.send(stored.scripts.load)
    assert stored.change("one", 1, step()) is None


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), "OOM"),
        (("CONFIG", "SET", "min-replicas-to-write", "1"), "NOREPLICAS"),
        (("REPLICAOF", "127.0.0.1", "1"), "READONLY"),
    ],
)
async def test_error_of_the_server_changes_no_session(
    stored: Stored, broken: tuple[str, ...], code: str
) -> None:
    """The whole command fails, and can be sent again as it was."""
    writes = {
        "pushed": _write(payloads=("1",), acked=1),
        "trimmed": _write(version=2, first=2, acked=1),
        "ended": Write(HOME, 1, 1, End(b"tombstone")),
        "healed": Write(HOME, 1, 1, Heal(replace(IMAGE, version=1, handled=5), idle=0)),
        "released": Write(HOME, 1, 1, Release()),
    }
    for name in writes:
        stored.open(name)
    stored.change("trimmed", 1, step(payloads=("1",)))
    before = {name: (stored.located(name), stored.log(name)) for name in writes}

    try:
        stored.redis.call(*broken)
        for name, write in writes.items():
            with pytest.raises(hiredis.ReplyError, match=code):
                stored.write({name: write})
        now = {name: (stored.located(name), stored.log(name)) for name in writes}
    finally:
        stored.redis.call("CONFIG", "SET", "maxmemory", "0", "min-replicas-to-write", "0")
        stored.redis.call("REPLICAOF", "NO", "ONE")
    assert now == before
    assert stored.write(writes) == dict.fromkeys(writes)


async def test_command_cut_after_any_byte_changes_nothing(
    stored: Stored, redis_server: RedisServer
) -> None:
    writes = {"one": _write(payloads=("1", b"2")), "two": _write(payloads=("1",))}
    for name in writes:
        stored.open(name)
    [command] = stored.writer.pack(writes.items())
    before = stored.located("one"), stored.located("two")
    others = _clients(stored)
    for end in range(len(command.packed)):
        RedisCommands(redis_server.port).leave(command.packed[:end])
    _until_gone(stored, others)
    assert (stored.located("one"), stored.located("two")) == before
    RedisCommands(redis_server.port).leave(command.packed)  # its answer is lost
    _until_gone(stored, others)
    for _ in range(3):
        assert stored.write(writes) == {"one": None, "two": None}
        assert (stored.log("one"), stored.log("two")) == ([b"1", b"\0" + b"2"], [b"1"])


def _clients(stored: Stored) -> set[bytes]:
    """Return the ids of all connections."""
    clients = stored.redis.call("CLIENT", "LIST")
    assert isinstance(clients, bytes)
    return {line.split()[0] for line in clients.splitlines()}


def _until_gone(stored: Stored, others: set[bytes]) -> None:
    """Return once Redis has read what was sent on all connections but those others."""
    for _ in range(100_000):
        if _clients(stored) <= others:
            return
    raise TimeoutError("Redis does not end a connection")
