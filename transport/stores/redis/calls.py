"""How sessions are opened, found and claimed: the commands of these calls, and their answers."""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from transport.protocol.journal import Claim, ClaimRefusal, Image
from transport.stores.journaled import GRACE, Ended, Found, Grace, Made
from transport.stores.redis.commands import pack
from transport.stores.redis.keys import Keys
from transport.stores.redis.lives import Lives
from transport.stores.redis.records import decode_image, encode_fields
from transport.stores.redis.scripts import Scripts

_GIVEN = {"b", "t"}
"""Fields that the store gives to a new session."""


class Caller:
    """Makes commands of calls, and results of their answers.

    Args:
        scripts: those that the commands run.
        keys: the names of the keys.
        lives: how long they last.
        grace: milliseconds for which nobody claims after the data were lost.
    """

    def __init__(self, scripts: Scripts, keys: Keys, lives: Lives, grace: int) -> None:
        self._scripts = scripts
        self._keys = keys
        self._lives = lives
        self._grace = grace

    def locate(self, session_id: str) -> bytes:
        """Return the command that reads a record; see `read_located`."""
        return pack("HGETALL", self._keys.record(session_id))

    def open(self, opening: str, session_id: str, image: Image) -> bytes:
        """Return the command that stores a new session; see `read_opened`."""
        keys, lives = self._keys, self._lives
        before, _, behind = keys.record("\0").partition("\0")
        given = encode_fields(image)
        fields = (
            item
            for field, value in zip(given[::2], given[1::2], strict=True)
            if field not in _GIVEN
            for item in (field, value)
        )
        return pack(
            *("EVALSHA", self._scripts.open.sha, 3),
            *(keys.opening(opening), keys.record(session_id), keys.log(session_id)),
            *(session_id, lives.opening, lives.record, before, behind, *fields),
        )

    def claim(self, session_id: str, claim: Claim) -> bytes:
        """Return the command that claims a session; see `read_claimed`."""
        keys, lives = self._keys, self._lives
        return pack(
            *("EVALSHA", self._scripts.claim.sha, 3),
            *(keys.record(session_id), keys.log(session_id), keys.born),
            *(claim.home, claim.fence, claim.by, claim.run, claim.ttl, self._grace),
            *(lives.record, lives.log, claim.epoch),
        )


def read_located(answer: object) -> Image | None:
    """Return the session of a record, without its messages; None if Redis does not have it."""
    assert isinstance(answer, (list, dict))
    return decode_image(answer) if answer else None


def read_opened(answer: object, image: Image) -> Made | Found | Ended:
    """Return what has become of an opening.

    Args:
        answer: that of Redis.
        image: the session that was to be stored.
    """
    assert isinstance(answer, list)
    if answer[0] == b"made":
        _, born, seen = answer
        return Made(replace(image, born=int(born), seen=int(seen)))
    _, known, fields = answer
    session_id, found = known.decode(), decode_image(fields)
    if found.tombstone:
        return Ended(session_id, found.tombstone)
    return Found(session_id, found.home, found.fence)


def read_claimed(answer: object) -> Image | ClaimRefusal | Literal[Grace.GRACE]:
    """Return the session with its new home, or why that cannot have it."""
    if isinstance(answer, list):
        fields, log = answer
        return decode_image(fields, log)
    assert isinstance(answer, bytes)
    refused = answer.decode()
    return GRACE if refused == GRACE.value else ClaimRefusal(refused)
