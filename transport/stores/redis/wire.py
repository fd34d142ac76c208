"""`RedisWire`: a connection to Redis that carries what `transport.stores.remote` decides."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from msgspec.structs import replace
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

from transport.limits import Limits
from transport.protocol.journal import Claim, ClaimRefusal, Image, Write, epoch_of
from transport.stores.journaled import TOUCH, Failed, Grace, Located, Outcome
from transport.stores.names import shorten
from transport.stores.redis.calls import Caller, read_claimed, read_located, read_opened
from transport.stores.redis.commands import pack
from transport.stores.redis.connections import BROKEN, Connections, abort, send
from transport.stores.redis.faults import REFUSALS, Refused, Unreached, explain_error
from transport.stores.redis.keys import Keys
from transport.stores.redis.lives import Lives
from transport.stores.redis.records import decode_birth, encode_birth, shorten_run
from transport.stores.redis.scripts import Scripts
from transport.stores.redis.suitability import check_policy, check_server, read_info
from transport.stores.redis.writes import Writer, read_outcomes
from transport.stores.remote.times import Times
from transport.stores.remote.wire import (
    Begin,
    Birth,
    GiveUp,
    Greeting,
    Locate,
    Look,
    Question,
    ReadBirth,
    ReadSecret,
    Renew,
    Renewal,
    SetBirth,
    ShareSecret,
    Sign,
    Take,
    Unanswered,
    Unwilling,
)

Reply: TypeAlias = Any
"""What Redis has answered to a command: as redis-py returns it, or the error."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """The commands of a question, and how its answer is made of theirs."""

    commands: tuple[bytes, ...]
    read: Callable[..., object]


class RedisWire:
    """Implements `Wire`.

    Args:
        connections: to the Redis.
        keys: the names of the keys.
        scripts: those that Redis runs.
        name: of this process.
        hub: the name of the hub.
        limits: those of the hub.
        times: of leases.
    """

    def __init__(
        self,
        connections: Connections,
        keys: Keys,
        scripts: Scripts,
        name: str,
        hub: str,
        limits: Limits,
        times: Times,
    ) -> None:
        self._lease = round(times.lease * 1000)
        lives = Lives.of(limits)
        self._connections = connections
        self._keys = keys
        self._scripts = scripts
        self._name = name
        self._hub = hub
        self._stored_hub = shorten(hub)
        self._ttl = round((limits.ttl + TOUCH) * 1000)
        self._writer = Writer(scripts, keys, lives)
        self._caller = Caller(scripts, keys, lives, round(times.grace * 1000))
        self._about = f"{socket.gethostname()} {os.getpid()}"
        self._connection: AbstractConnection | None = None
        self._run = ""

    # `Wire`

    async def connect(self) -> Greeting:
        """See `Wire.connect`."""
        self.drop()
        connection = self._connections.make()
        try:
            await self._connections.connect(connection)
        except BaseException as error:
            abort(connection)
            if isinstance(error, Refused):
                raise Unwilling(str(error)) from None
            if isinstance(error, Unreached):
                raise Unanswered(str(error)) from None
            raise
        self._connection = connection
        about, *birth = await self._exchange(pack("INFO", "SERVER"), *self._read_birth)
        server = read_info(_accepted(about))
        check_server(server)
        self._run = shorten_run(server["run_id"])
        return Greeting(self._run, _read_birth(*map(_accepted, birth)))

    async def check(self) -> None:
        """See `Wire.check`."""
        [memory] = await self._exchange(pack("INFO", "MEMORY"))
        check_policy({} if isinstance(memory, ResponseError) else read_info(memory))
        for reply in await self._exchange(*self._scripts.load):
            _accepted(reply)

    async def write(self, writes: Sequence[tuple[str, Write]]) -> Sequence[Outcome]:
        """See `Wire.write`."""
        commands = self._writer.pack(writes)
        packed = [command.packed for command in commands]
        replies = await self._exchange(*packed)
        if any(isinstance(reply, NoScriptError) for reply in replies):
            await self._exchange(*self._scripts.load)
            replies = await self._exchange(*packed)
        outcomes: list[Outcome] = [None] * len(writes)
        for command, reply in zip(commands, replies, strict=True):
            answers = read_outcomes(_accepted(reply))
            for place, outcome in zip(command.places, answers, strict=True):
                outcomes[place] = outcome
        return outcomes

    async def ask(self, questions: Sequence[Question[Any]]) -> Sequence[Any | Failed]:
        """See `Wire.ask`."""
        asked = [self._asked(question) for question in questions]
        answers = await self._ask(asked)
        again = [place for place, answer in enumerate(answers) if answer is _NO_SCRIPT]
        if again:
            await self._exchange(*self._scripts.load)
            for place, answer in zip(
                again, await self._ask([asked[each] for each in again]), strict=True
            ):
                answers[place] = Failed("NOSCRIPT") if answer is _NO_SCRIPT else answer
        return answers

    def drop(self) -> None:
        """See `Wire.drop`."""
        if self._connection is not None:
            abort(self._connection)
            self._connection = None

    # Commands

    async def _exchange(self, *commands: bytes) -> list[Reply]:
        """Send commands together, and return the reply to each."""
        connection = self._connection
        if connection is None:
            raise Unanswered("the connection has ended")
        replies: list[Reply] = []
        try:
            await send(connection, commands)
            while len(replies) < len(commands):
                try:
                    replies.append(await connection.read_response(disable_decoding=True))
                except ResponseError as error:
                    replies.append(error)
        except BROKEN as error:
            kind = Unwilling if isinstance(error, REFUSALS) else Unanswered
            raise kind(explain_error(error)) from None
        return replies

    async def _ask(self, asked: Sequence[_Asked]) -> list[Any]:
        """Return the answers; `Failed` or ``_NO_SCRIPT`` in the place of an error."""
        commands = [command for each in asked for command in each.commands]
        answers = await self._exchange(*commands)
        for reply in answers:
            if isinstance(reply, ReadOnlyError):  # another Redis is the master now
                raise Unwilling(explain_error(reply))
        replies = iter(answers)
        return [_read(each, [next(replies) for _ in each.commands]) for each in asked]

    def _asked(self, question: Question[Any]) -> _Asked:
        """Return how a question is asked."""
        keys, caller, mine = self._keys, self._caller, self._keys.process(self._name)
        match question:
            case ReadBirth():
                return _Asked(self._read_birth, _read_birth)
            case SetBirth(seen=seen):
                before = "" if seen.since is None else encode_birth(seen.run, seen.since)
                sha = self._scripts.birth.sha
                command = pack("EVALSHA", sha, 1, keys.born, before, self._run)
                return _Asked((command,), lambda reply: _birth(reply[0], int(reply[1])))
            case Renew(count=count):
                value = f"{count} {self._about}"
                renew = pack("SET", mine, value, "PX", self._lease, "GET")
                return _Asked((renew, *self._read_birth), _renewal)
            case GiveUp():
                return _Asked((pack("DEL", mine),), lambda _: None)
            case ReadSecret():
                return _Asked((pack("GET", keys.secret),), lambda there: there)
            case ShareSecret(secret=secret):
                share = pack("SET", keys.secret, secret, "NX", "GET")
                return _Asked((share,), lambda there: there or secret)
            case Look(home=home):
                theirs = keys.process(home)
                return _Asked((pack("GET", theirs), pack("PUBSUB", "NUMSUB", theirs)), _sign)
            case Locate(session_id=session_id):
                return _Asked((caller.locate(session_id),), self._located)
            case Begin(opening=opening, session_id=session_id, image=image):
                image = replace(image, run=self._run, epoch=self._run)
                command = caller.open(opening, session_id, image)
                return _Asked((command,), lambda reply: read_opened(reply, image))
            case Take(session_id=session_id, home=home, fence=fence, name=name):
                epoch = epoch_of(self._run, name)
                claim = Claim(home, fence, self._name, self._run, epoch, self._ttl)
                return _Asked((caller.claim(session_id, claim),), self._claimed)
            case _:
                raise AssertionError(question)

    def _located(self, reply: Reply) -> Located | None:
        image = read_located(reply)
        if image is None:
            return None
        return Located(
            home=image.home,
            fence=image.fence,
            subject=image.subject,
            token=image.token,
            hub=self._full_name(image.hub),
            closing=image.closing,
            tombstone=image.tombstone,
        )

    def _claimed(self, reply: Reply) -> Image | ClaimRefusal | Literal[Grace.GRACE]:
        image = read_claimed(reply)
        if isinstance(image, Image):
            return replace(image, hub=self._full_name(image.hub))
        return image

    def _full_name(self, stored_hub: str) -> str:
        """Return the name of a hub, of which Redis may have a hash."""
        return self._hub if stored_hub == self._stored_hub else stored_hub

    @property
    def _read_birth(self) -> tuple[bytes, bytes]:
        return pack("GET", self._keys.born), pack("TIME")


_NO_SCRIPT = object()
"""The answer to a question that Redis could not read, because it does not have the script."""


def _read(asked: _Asked, replies: list[Reply]) -> object:
    for reply in replies:
        if isinstance(reply, NoScriptError):
            return _NO_SCRIPT
        if isinstance(reply, ResponseError):
            return Failed(explain_error(reply))
    try:
        return asked.read(*replies)
    except ValueError as error:  # what is stored is damaged, which concerns nobody else
        return Failed(str(error))


def _accepted(reply: Reply) -> Reply:
    """Return a reply that must not be an error.

    Raises:
        Unwilling: it is one.
    """
    if isinstance(reply, ResponseError):
        raise Unwilling(explain_error(reply))
    return reply


def _milliseconds(time: Sequence[bytes]) -> int:
    seconds, microseconds = map(int, time)
    return seconds * 1000 + microseconds // 1000


def _birth(born: bytes | None, now: int) -> Birth:
    run, since = decode_birth(born) if born else ("", None)
    return Birth(run, since, now)


def _read_birth(born: bytes | None, time: Sequence[bytes]) -> Birth:
    return _birth(born, _milliseconds(time))


def _renewal(before: bytes | None, born: bytes | None, time: Sequence[bytes]) -> Renewal:
    return Renewal(before is not None, _read_birth(born, time))


def _sign(lease: bytes | None, subscribers: Sequence[Any]) -> Sign:
    return Sign(lease, int(subscribers[1]) > 0)
