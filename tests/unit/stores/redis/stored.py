"""A session in a real Redis, written and claimed with the commands of the store."""

from __future__ import annotations

from collections.abc import Mapping

import hiredis

from tests.support.clients.redis_commands import RedisCommands
from transport.limits import Limits
from transport.protocol.journal import Change, Claim, ClaimRefusal, Image, Step, Write
from transport.stores.journaled import Ended, Failed, Found, Grace, Made, Outcome
from transport.stores.redis.calls import Caller, read_claimed, read_located, read_opened
from transport.stores.redis.keys import Keys
from transport.stores.redis.lives import Lives
from transport.stores.redis.records import encode_birth, shorten_run
from transport.stores.redis.scripts import Scripts
from transport.stores.redis.writes import Writer, read_outcomes

HOME, OTHER = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
CLAIMED = "the-epoch-of-a-claim"
RUN, OTHER_RUN = shorten_run("4a" * 20), shorten_run("5b" * 20)

IMAGE = Image(
    home=HOME,
    subject="ann@example.org",
    token=bytes(range(224, 256)),
    hub="app.chat:chat",
    born=0,
    seen=0,
    run=RUN,
    epoch=RUN,
    holder="client0123456789",
)


def step(first: int = 1, payloads: tuple[str | bytes, ...] = (), **marks: object) -> Step:
    """Return a step with the marks of a new session, or with these."""
    usual: dict[str, object] = {"handled": 0, "acked": 0, "confirmed": 1, "holder": IMAGE.holder}
    return Step(first=first, payloads=payloads, **{**usual, **marks})  # type: ignore[arg-type]


class Stored:
    """What tests do with sessions in Redis.

    Args:
        redis: a connection to an empty one.

    Attributes:
        redis, scripts, keys, lives, writer, caller: see these classes.
    """

    def __init__(self, redis: RedisCommands) -> None:
        self.redis = redis
        self.scripts = Scripts.read()
        self.keys = Keys()
        self.lives = Lives.of(Limits())
        self.writer = Writer(self.scripts, self.keys, self.lives)
        self.caller = Caller(self.scripts, self.keys, self.lives, grace=8000)
        redis.send(self.scripts.load)
        redis.call("SET", self.keys.born, encode_birth(RUN, 1))

    def open(
        self, session_id: str, opening: str = "", image: Image = IMAGE
    ) -> Made | Found | Ended:
        """Open a session: each has an opening of its own unless one is named."""
        packed = self.caller.open(opening or session_id, session_id, image)
        return read_opened(self._send(packed), image)

    def write(self, writes: Mapping[str, Write]) -> dict[str, Outcome]:
        """Write sessions, and return what has become of it."""
        outcomes: dict[str, Outcome] = {}
        names = list(writes)
        for command in self.writer.pack(writes.items()):
            for place, outcome in zip(
                command.places, read_outcomes(self._send(command.packed)), strict=True
            ):
                outcomes[names[place]] = outcome
        return outcomes

    def change(self, session_id: str, version: int, change: Change) -> Outcome:
        """Write a session as its first home."""
        return self.write({session_id: Write(HOME, 1, version, change)})[session_id]

    def claim(
        self,
        session_id: str,
        *,
        home: str = HOME,
        fence: int = 1,
        run: str = RUN,
        ttl: int = 120_000,
    ) -> Image | ClaimRefusal | Grace:
        """Claim a session for another process."""
        packed = self.caller.claim(session_id, Claim(home, fence, OTHER, run, CLAIMED, ttl))
        return read_claimed(self._send(packed))

    def located(self, session_id: str) -> Image | None:
        """Return the session as it is found, without its messages."""
        return read_located(self._send(self.caller.locate(session_id)))

    def log(self, session_id: str) -> list[bytes]:
        """Return the elements of its log."""
        log = self.redis.call("LRANGE", self.keys.log(session_id), 0, -1)
        assert isinstance(log, list)
        return log

    def lasts(self, key: str) -> int:
        """Return for how many milliseconds a key lasts: -1 for ever, -2 if it is not there."""
        lasts = self.redis.call("PTTL", key)
        assert isinstance(lasts, int)
        return lasts

    def _send(self, packed: bytes) -> object:
        [answer] = self.redis.send([packed])
        if isinstance(answer, hiredis.ReplyError):
            raise answer
        return answer


def failed(outcome: Outcome) -> str:
    """Return the error of a write that failed."""
    assert isinstance(outcome, Failed)
    return outcome.text
