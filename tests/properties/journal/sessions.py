"""What happens to a session of a schedule, and what it is by the reference."""

from __future__ import annotations

from random import Random
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from tests.properties.journal.writers import new_image, random_claim, random_write
from transport.protocol.journal import Claim, Image, Write

_REPEATED = 12
"""The number of last writes that may be repeated."""


class Opening(Struct, frozen=True):
    """A process opens the session: it is new, or the store has it already."""

    image: Image


class Loss(Struct, frozen=True):
    """The store loses the record, the log, or the first message of the log if neither is named."""

    record: bool
    log: bool


class Copy(Struct, frozen=True):
    """The store is saved."""


class Return(Struct, frozen=True):
    """The store goes back to what was saved last."""


Action: TypeAlias = Write | Claim | Opening | Loss | Copy | Return


class Saved(NamedTuple):
    """A session as it was: by the reference, and its keys as Redis dumps them."""

    image: Image | None = None
    record: bytes | None = None
    log: bytes | None = None


class Session:
    """A session of a schedule.

    Args:
        session_id: its id.
        random: decides what happens to it.

    Attributes:
        image: what the store has by the reference.
        action: what happens in this round.
        saved: the last copy.
    """

    def __init__(self, session_id: str, random: Random) -> None:
        self.id = session_id
        self.random = random
        self.image: Image | None = None
        self.saved = Saved()
        self._believed = new_image(random)
        self._writes: list[Write] = []
        self.action: Action = Opening(self._believed)

    def choose(self) -> None:
        """Choose what happens next."""
        self.action = self._choose()

    def _choose(self) -> Action:
        random = self.random
        dice = random.random()
        if dice < 0.04 or (self.image is None and dice < 0.3):
            self._believed = new_image(random)
            return Opening(self._believed)
        if dice < 0.72 or not self._writes:
            write = random_write(random, self.image, self._believed)
            self._writes = [*self._writes[1 - _REPEATED :], write]
            return write
        if dice < 0.82:
            return random.choice(self._writes)
        if dice < 0.90:
            return random_claim(random, self.image)
        if dice < 0.93:
            return Loss(record=random.random() < 0.4, log=random.random() < 0.5)
        return Copy() if dice < 0.97 else Return()
