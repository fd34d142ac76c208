"""How the writes of sessions become commands, and answers become outcomes.

Steps of many sessions share one command, which costs Redis and this process much less than one for
each. The rarer writes have a command each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from msgspec import Struct

from transport.protocol.journal import End, Heal, Refusal, Release, Step, Write
from transport.stores.journaled import Failed, Outcome
from transport.stores.redis.commands import pack, pack_argument
from transport.stores.redis.keys import Keys
from transport.stores.redis.lives import Lives
from transport.stores.redis.records import (
    Value,
    cursor_field,
    encode_fields,
    encode_payloads,
    encode_tombstone,
)
from transport.stores.redis.scripts import Scripts

MOST_SESSIONS = 64
"""Steps in a command, which Redis runs in about a millisecond: meanwhile others wait."""

MOST_ARGUMENTS = 4000
"""Arguments of a command with several steps, for the same reason."""

MOST_BYTES = 1024 * 1024
"""Bytes of a command with several steps, for the same reason. A single step may exceed it."""

_HEAD = 15
"""Arguments of a step besides its messages and fields, and ..."""

_KEYS = 2
"""... its keys."""

_OUTCOMES: dict[object, Outcome] = {
    b"ok": None,
    **{refusal.value.encode(): refusal for refusal in Refusal},
}


class Command(Struct, frozen=True):
    """A command with writes of one session or several.

    Attributes:
        packed: the command, as it is sent.
        places: which of the given writes it carries: the outcomes are in this order.
    """

    packed: bytes
    places: tuple[int, ...]


class Writer:
    """Makes commands of writes.

    Args:
        scripts: those that the commands run.
        keys: the names of the keys.
        lives: how long they last.
    """

    def __init__(self, scripts: Scripts, keys: Keys, lives: Lives) -> None:
        self._scripts = scripts
        self._keys = keys
        self._lives = lives
        self._step = pack_argument("EVALSHA") + pack_argument(scripts.step.sha)
        self._step_lives = pack_argument(lives.record) + pack_argument(lives.log)

    def pack(self, writes: Iterable[tuple[str, Write]]) -> list[Command]:
        """Return commands for writes: those with steps first, then those of one write each.

        Args:
            writes: each with the id of its session; at most one of each session.
        """
        commands: list[Command] = []
        others: list[Command] = []
        steps = _Steps()
        for place, (session_id, write) in enumerate(writes):
            change = write.change
            if isinstance(change, Step):
                arguments, packed = _pack_step(write, change)
                if not steps.has_room(arguments, len(packed)):
                    commands.append(self._finish(steps))
                    steps = _Steps()
                steps.add(place, self._pack_keys(session_id), packed, arguments)
            else:
                others.append(Command(self._pack_other(session_id, write, change), (place,)))
        if steps.places:
            commands.append(self._finish(steps))
        return commands + others

    def _pack_keys(self, session_id: str) -> bytes:
        keys = self._keys
        return pack_argument(keys.record(session_id)) + pack_argument(keys.log(session_id))

    def _finish(self, steps: _Steps) -> Command:
        count = 5 + steps.arguments  # EVALSHA, its name, the number of keys, two lives
        keys = pack_argument(_KEYS * len(steps.places))
        packed = b"".join(
            [b"*%d\r\n" % count, self._step, keys, *steps.keys, self._step_lives, *steps.packed]
        )
        return Command(packed, tuple(steps.places))

    def _pack_other(self, session_id: str, write: Write, change: Heal | End | Release) -> bytes:
        scripts, lives = self._scripts, self._lives
        record, log = self._keys.record(session_id), self._keys.log(session_id)
        by = (write.home, write.fence, write.version)
        match change:
            case Heal(image, idle):
                life = lives.tombstone if image.tombstone else lives.record
                fields = encode_fields(image)
                messages = encode_payloads(image.payloads)
                arguments = (*by, life, lives.log, len(fields) // 2, idle, *fields, *messages)
                return pack("EVALSHA", scripts.heal.sha, 2, record, log, *arguments)
            case End(tombstone):
                arguments = (*by, lives.tombstone, *encode_tombstone(tombstone))
                return pack("EVALSHA", scripts.end.sha, 2, record, log, *arguments)
            case Release():
                return pack("EVALSHA", scripts.release.sha, 1, record, *by)
            case _:
                assert_never(change)


def read_outcomes(answer: object) -> list[Outcome]:
    """Return what became of the writes of a `Command`, in the order of its ``places``.

    Args:
        answer: that of Redis, which is not an error: an error concerns Redis and not a session, and
            some of the writes may have been applied, so the same command must be sent again.
    """
    if isinstance(answer, list):
        return [_read_outcome(item) for item in answer]
    return [_read_outcome(answer)]


def _read_outcome(answer: object) -> Outcome:
    try:
        return _OUTCOMES[answer]
    except KeyError:
        assert isinstance(answer, bytes)
        return Failed(answer.removeprefix(b"!").decode("utf-8", "replace"))


class _Steps:
    """Steps that share a command."""

    def __init__(self) -> None:
        self.places: list[int] = []
        self.keys: list[bytes] = []
        self.packed: list[bytes] = []
        self.arguments = 0
        self._size = 0

    def has_room(self, arguments: int, size: int) -> bool:
        """Return whether a step can be added."""
        return not self.places or (
            len(self.places) < MOST_SESSIONS
            and self.arguments + arguments <= MOST_ARGUMENTS
            and self._size + size <= MOST_BYTES
        )

    def add(self, place: int, keys: bytes, packed: bytes, arguments: int) -> None:
        """Add a step.

        Args:
            place: which write it is.
            keys, packed: its keys, and its other arguments.
            arguments: their number.
        """
        self.places.append(place)
        self.keys.append(keys)
        self.packed.append(packed)
        self.arguments += arguments
        self._size += len(packed)


def _pack_step(write: Write, step: Step) -> tuple[int, bytes]:
    """Return how many arguments a step has, with its keys, and these without the keys."""
    payloads = step.payloads
    count = len(payloads)
    fence, version = str(write.fence), str(write.version)
    last, messages = str(step.first + count - 1), str(count)
    handled, acked, confirmed = str(step.handled), str(step.acked), str(step.confirmed)
    head = (
        f"${len(write.home)}\r\n{write.home}\r\n"
        f"${len(fence)}\r\n{fence}\r\n"
        f"${len(version)}\r\n{version}\r\n"
        f"${len(last)}\r\n{last}\r\n"
        f"${len(messages)}\r\n{messages}\r\n"
        f"${len(handled)}\r\n{handled}\r\n"
        f"${len(acked)}\r\n{acked}\r\n"
        f"${len(confirmed)}\r\n{confirmed}\r\n"
        f"${len(step.holder)}\r\n{step.holder}\r\n"
    )
    arguments = _KEYS + _HEAD + count
    fields: Sequence[bytes] = ()
    if step.touch is None and not (step.cursors or step.partial or step.trials or step.closing):
        parts = [head.encode(), _NOTHING_ELSE]
    else:
        rest, fields = _pack_rest(step)
        parts = [head.encode(), rest]
    parts += [b"$%d\r\n%b\r\n" % (len(data), data) for data in encode_payloads(payloads)]
    parts += fields
    return arguments + len(fields), b"".join(parts)


def _pack_rest(step: Step) -> tuple[bytes, Sequence[bytes]]:
    """Return the arguments of a step from `partial` to the messages, and those behind these."""
    sets: list[Value] = []
    unsets: list[Value] = []
    for topic, entry in step.cursors.items():
        if entry is None:
            unsets.append(cursor_field(topic))
        else:
            sets += (cursor_field(topic), entry)
    idle: Value = ""
    if step.touch is not None:
        idle = step.touch.idle
        sets += ("r", step.touch.run)
    rest = (step.partial, step.trials, step.closing, idle, len(sets) // 2, len(unsets))
    return b"".join(map(pack_argument, rest)), [*map(pack_argument, (*sets, *unsets))]


_NOTHING_ELSE, _ = _pack_rest(Step(first=1, handled=0, acked=0, confirmed=0, holder=""))
"""The first of these for most steps."""
