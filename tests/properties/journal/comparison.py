"""The same random schedules in Redis and by the journal's reference, compared after each action.

Many sessions go side by side, so that their steps share commands as those of a process do. In each
round something happens to each session: a write or a claim, new or repeated, by its home or by a
process that another has replaced; an opening; or the store loses it, a part of it, or what was
written since a copy.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from random import Random

from msgspec.structs import replace

from tests.properties.journal.sessions import Copy, Loss, Opening, Return, Saved, Session
from tests.properties.journal.writers import RUNS
from tests.support.clients.redis_commands import RedisCommands
from transport.protocol.journal import (
    Claim,
    ClaimRefusal,
    Heal,
    Image,
    Refusal,
    Step,
    Touch,
    Write,
    apply,
    claim,
)
from transport.stores.journaled import GRACE, Ended, Found, Made
from transport.stores.names import shorten, shorten_topic
from transport.stores.redis.calls import Caller, read_claimed, read_opened
from transport.stores.redis.commands import pack
from transport.stores.redis.keys import Keys
from transport.stores.redis.lives import Lives
from transport.stores.redis.records import decode_image, encode_birth
from transport.stores.redis.scripts import Scripts
from transport.stores.redis.writes import Writer, read_outcomes

ROUNDS = 40
SESSIONS = 64

GRACE_LASTS = 8_000
LIVES = Lives(record=780_000, log=180_000, tombstone=600_000, opening=60_000)

_LEFT = 100_000
"""Milliseconds that keys of a copy last."""

_FUTURE = 2**53 - 1

_KNOWN_IN_GRACE = (ClaimRefusal.ENDED, ClaimRefusal.MOVED)
"""What a claim is answered in a grace too."""


class Disagreement(Exception):
    """Redis has another answer or another session than the reference."""


class Comparison:
    """Schedules in Redis and by the reference.

    Args:
        redis: a connection to a Redis that knows the scripts.
        scripts: those that are compared.
        seed: decides what happens. Sessions of different seeds do not meet.

    Attributes:
        answers: how often each answer was given.
    """

    def __init__(self, redis: RedisCommands, scripts: Scripts, seed: int) -> None:
        self.answers: dict[str, int] = {}
        self._redis = redis
        self._keys = Keys("prefix:")
        self._writer = Writer(scripts, self._keys, LIVES)
        self._caller = Caller(scripts, self._keys, LIVES, GRACE_LASTS)
        self._seed = seed
        self._random = Random(seed)
        self._birth: str | None = None
        self._clock = (0, 0)

    def play(self, sessions: int = SESSIONS) -> None:
        """Play a schedule.

        Args:
            sessions: how many there are.

        Raises:
            Disagreement: the message says of which session, and after what.
        """
        playing = [
            Session(f"{self._seed}-{number}", Random(self._random.random()))
            for number in range(sessions)
        ]
        for _ in range(ROUNDS):
            for session in playing:
                session.choose()
            self._birth = self._choose_birth()
            self._play_round(playing)

    def _choose_birth(self) -> str | None:
        """Return since when the data are there: long ago in most rounds."""
        births: tuple[tuple[float, str | None], ...] = (
            (0.05, None),
            (0.10, encode_birth("of-another-run", 1)),
            (0.15, encode_birth(RUNS[0], _FUTURE)),
            (1.00, encode_birth(self._random.choice(RUNS), 1)),
        )
        dice = self._random.random()
        return next(birth for chance, birth in births if dice < chance)

    def _play_round(self, playing: list[Session]) -> None:
        writes = [(s, s.action) for s in playing if isinstance(s.action, Write)]
        others = [session for session in playing if not isinstance(session.action, Write)]
        commands = self._writer.pack((session.id, write) for session, write in writes)

        packed = [self._pack(session) for session in others]
        before, _ = self._send([pack("TIME"), self._pack_birth()])
        replies = iter(
            self._send([*(command.packed for command in commands), *chain(*packed), pack("TIME")])
        )
        flown = list(islice(replies, len(commands)))
        called = [list(islice(replies, len(each))) for each in packed]
        self._clock = (_milliseconds(before), _milliseconds(next(replies)))
        read = self._send(chain(*map(self._pack_read, playing)))

        seen = {
            session.id: self._read(read[4 * place : 4 * place + 4])
            for place, session in enumerate(playing)
        }
        for command, answer in zip(commands, flown, strict=True):
            for place, outcome in zip(command.places, read_outcomes(answer), strict=True):
                session, write = writes[place]
                self._check_write(session, write, outcome, seen[session.id])
        for session, answers in zip(others, called, strict=True):
            self._check_other(session, answers, seen[session.id])
        for session in playing:
            self._compare(session, seen[session.id], session.image)

    def _send(self, commands: Iterable[bytes]) -> list[object]:
        answers = self._redis.send(commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise Disagreement(f"seed {self._seed}: {answer}")
        return answers

    # What is sent

    def _pack_birth(self) -> bytes:
        born = self._keys.born
        return pack("DEL", born) if self._birth is None else pack("SET", born, self._birth)

    def _pack(self, session: Session) -> list[bytes]:
        record, log = self._keys.record(session.id), self._keys.log(session.id)
        match session.action:
            case Opening(image):
                # Another opening each time, so that it finds the record if there is one.
                opening = f"{session.id}-{self._random.random()}"
                return [self._caller.open(opening, session.id, image)]
            case Claim() as made:
                return [self._caller.claim(session.id, made)]
            case Loss(lost_record, lost_log):
                trim = pack("DEL", log) if lost_log else pack("LTRIM", log, 1, -1)
                return [pack("DEL", record), trim] if lost_record else [trim]
            case Copy():
                return [pack("DUMP", record), pack("DUMP", log)]
            case Return():
                saved = session.saved
                return [_pack_restore(record, saved.record), _pack_restore(log, saved.log)]
            case _:
                raise TypeError(session.action)

    def _pack_read(self, session: Session) -> list[bytes]:
        record, log = self._keys.record(session.id), self._keys.log(session.id)
        marks = [pack("HGETALL", record), pack("LRANGE", log, 0, -1)]
        return [*marks, pack("PTTL", record), pack("PTTL", log)]

    # What is answered

    def _read(self, answers: list[object]) -> Image | None:
        """Return the session that Redis has, and check that it does not stay for ever."""
        fields, log, record_lasts, log_lasts = answers
        assert isinstance(fields, list)
        assert isinstance(log, list)
        self._check_life("log", log_lasts, LIVES.log if log else None)
        if not fields:
            return None
        try:
            image = decode_image(fields, log)
        except ValueError as error:
            raise Disagreement(f"seed {self._seed}: {error}") from None
        self._check_life("record", record_lasts, _life(image))
        return image

    def _check_life(self, key: str, lasts: object, most: int | None) -> None:
        assert isinstance(lasts, int)
        if most is not None and not 0 < lasts <= most:
            raise Disagreement(f"seed {self._seed}: a {key} lasts for {lasts} ms")

    def _check_write(
        self, session: Session, write: Write, outcome: object, seen: Image | None
    ) -> None:
        expected = apply(session.image, _as_stored(write), self._now(write, seen))
        if isinstance(expected, Refusal):
            self._compare(session, outcome, expected)
        else:
            self._compare(session, outcome, None)
            session.image = expected
        self._count(outcome or f"stored {type(write.change).__name__}")

    def _now(self, write: Write, seen: Image | None) -> int:
        """Return the time at which Redis has applied a write, as the touch in it tells it."""
        first, last = self._clock
        idle = _idle(write)
        if idle is not None and seen is not None and first <= seen.seen + idle <= last:
            return seen.seen + idle
        return first

    def _check_other(self, session: Session, answers: list[object], seen: Image | None) -> None:
        match session.action:
            case Opening(image):
                self._check_opening(session, image, answers[0], seen)
            case Claim() as made:
                self._check_claim(session, made, answers[0])
            case Loss(record=True):
                session.image = None
            case Loss(log=lost):
                if session.image is not None:
                    payloads = () if lost else session.image.payloads[1:]
                    session.image = replace(session.image, payloads=payloads)
            case Copy():
                record, log = answers
                assert record is None or isinstance(record, bytes)
                assert log is None or isinstance(log, bytes)
                session.saved = Saved(session.image, record, log)
            case Return():
                session.image = session.saved.image
            case _:
                raise TypeError(session.action)

    def _check_opening(
        self, session: Session, image: Image, answer: object, seen: Image | None
    ) -> None:
        opened = read_opened(answer, _image_as_stored(image))
        self._count(type(opened).__name__)
        there = session.image
        if there is None:
            first, last = self._clock
            if seen is None or not first <= seen.seen == seen.born // 1000 <= last:
                raise Disagreement(f"seed {self._seed}: opened {seen}")
            made = replace(_image_as_stored(image), born=seen.born, seen=seen.seen)
            self._compare(session, opened, Made(made))
            session.image = made
        elif there.tombstone:
            self._compare(session, opened, Ended(session.id, there.tombstone))
        else:
            self._compare(session, opened, Found(session.id, there.home, there.fence))

    def _check_claim(self, session: Session, made: Claim, answer: object) -> None:
        claimed = read_claimed(answer)
        first, last = self._clock
        seen = claimed.seen if isinstance(claimed, Image) else first
        expected = claim(session.image, made, seen if first <= seen <= last else first)
        if self._birth != encode_birth(made.run, 1) and expected not in _KNOWN_IN_GRACE:
            self._compare(session, claimed, GRACE)
        else:
            self._compare(session, claimed, expected)
            if isinstance(expected, Image):
                session.image = expected
        self._count("Claimed" if isinstance(claimed, Image) else claimed)

    def _count(self, answer: object) -> None:
        name = str(answer)
        self.answers[name] = self.answers.get(name, 0) + 1

    def _compare(self, session: Session, redis: object, reference: object) -> None:
        if redis != reference:
            raise Disagreement(
                f"seed {self._seed}, session {session.id}, after {session.action}:\n"
                f"Redis has {redis}\n"
                f"the reference has {reference}"
            )


def _milliseconds(time: object) -> int:
    assert isinstance(time, list)
    seconds, microseconds = time
    return int(seconds) * 1000 + int(microseconds) // 1000


def _idle(write: Write) -> int | None:
    """Return how long the client was idle, if a write says so."""
    match write.change:
        case Step(touch=Touch(idle)) | Heal(idle=idle):
            return idle
        case _:
            return None


def _life(image: Image) -> int:
    return LIVES.tombstone if image.tombstone else LIVES.record


def _pack_restore(key: str, dump: bytes | None) -> bytes:
    return pack("DEL", key) if dump is None else pack("RESTORE", key, _LEFT, dump, "REPLACE")


def _as_stored(write: Write) -> Write:
    """Return a write with the names in it as a store has them."""
    change = write.change
    match change:
        case Step():
            cursors = {shorten_topic(topic): entry for topic, entry in change.cursors.items()}
            return replace(write, change=replace(change, cursors=cursors))
        case Heal(image, idle):
            return replace(write, change=Heal(_image_as_stored(image), idle))
        case _:
            return write


def _image_as_stored(image: Image) -> Image:
    return replace(
        image,
        subject=shorten(image.subject),
        hub=shorten(image.hub),
        cursors={shorten_topic(topic): entry for topic, entry in image.cursors.items()},
    )
