"""A reservation answers each ``open`` of one nonce, no longer than the store knows that nonce."""

from __future__ import annotations

from collections.abc import Set

from transport.bus.calls import Calls
from transport.bus.interface import Bus, NotReached, Pipe, Receiver
from transport.server.relay.reservations import Reservations


class Alone(Bus):
    """The bus of a process that has no others."""

    name = "here"
    secret = b""

    @property
    def peers(self) -> Set[str]:
        return set()

    async def start(self, receiver: Receiver) -> None:
        raise AssertionError

    def leave_behind(self, data: bytes, until: float) -> None:
        raise AssertionError

    def left_behind(self, name: str) -> bytes | None:
        return None

    async def leave(self) -> None:
        raise AssertionError

    def stop(self) -> None:
        raise AssertionError

    def pipe_to(self, name: str) -> Pipe:
        raise NotReached(name)

    def receives_from(self, name: str) -> bool:
        return False

    def is_alive(self, name: str) -> bool | None:
        return name == self.name

    @property
    def stalled_at(self) -> float:
        raise NotImplementedError

    async def look(self) -> None:
        raise NotImplementedError

    async def look_for(self, name: str) -> bool:
        return name == self.name


async def test_reservation_is_kept_from_its_first_use() -> None:
    """OPN-4. Otherwise one nonce would lead to a session whose store has forgotten that nonce."""
    now = 0.0
    reservations = Reservations(Alone(), Calls(), 60.0, lambda: now)
    assert await reservations.reserve("opening", "first") == "first"
    now = 50.0
    assert await reservations.reserve("opening", "second") == "first"
    now = 61.0
    assert await reservations.reserve("opening", "third") == "third"


async def test_reservation_that_no_session_has_is_replaced() -> None:
    now = 0.0
    reservations = Reservations(Alone(), Calls(), 60.0, lambda: now)
    assert await reservations.reserve("opening", "first") == "first"
    now = 50.0
    assert await reservations.reserve("opening", "second", instead="first") == "second"
    now = 70.0
    assert await reservations.reserve("opening", "third", instead="first") == "second"
