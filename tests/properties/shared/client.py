"""`StoredClient`: the client of a world with a store; checks what its session says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.properties.processes.client import ModelClient
from transport.errors import Fate
from transport.protocol.client.events import Attached, Closed, Event, Messages, Settled, WasReset
from transport.protocol.frames import TransportKind, Verdict

if TYPE_CHECKING:
    from tests.properties.shared.state import StoredState


class StoredClient(ModelClient):
    """A page of the model. Each of its requests reaches a random process.

    Args:
        world: it belongs to.
        index: names it, and its user.
        transport: of its first connection.

    Attributes:
        got: what it has received in its session, in order.
    """

    def __init__(self, world: StoredState, index: int, transport: TransportKind) -> None:
        super().__init__(world, index, transport)
        self._stored_world = world
        self.got: list[Any] = []

    def _check(self, event: Event) -> None:
        match event:
            case Attached():
                is_same = event.id == self.session
                assert is_same or event.verdict is not Verdict.RESUMED, f"{self.session}: {event}"
                if not is_same:
                    self.session = event.id
                    self.got = []
            case Messages():
                for message in event.messages:
                    self._take(message)
            case Settled():
                self._learn_fate(event)
            case WasReset():
                self._stored_world.check_reset(self, event)
                for settled in event.sends:
                    self._learn_fate(settled, event.reason)
            case Closed():
                self._stored_world.check_closed(self, event)
                for settled in event.sends:
                    self._learn_fate(settled, event.code)
            case _:
                pass

    def _take(self, message: Any) -> None:
        """Check that it is the message that its session has under the next number."""
        self.got.append(message)
        session = self._stored_world.journal.sessions.get(self.session)
        sent = session.message(len(self.got)) if session is not None else None
        assert sent is not None, f"nobody has sent {message}, the {len(self.got)}."
        what = f"client {self.index} has received {message}, the {len(self.got)}."
        assert sent.content == message, f"{what}, in place of {sent}"
        # A test of the order of all messages would prove the same; this says more when it fails.
        assert self.got.count(message) == 1, f"{what}, twice"

    def _learn_fate(self, settled: Settled, end: object = None) -> None:
        journal = self._stored_world.journal
        for number in range(settled.first, settled.last + 1):
            assert number not in self.is_settled, f"message {number} was settled twice"
            self.is_settled.add(number)
            what = f"message {number} of client {self.index} is told as {settled.fate} at {end}"
            is_handed = number in journal.handed.get(self.index, ())
            match settled.fate:
                case Fate.HANDLED:
                    assert (self.index, number) in journal.finished, what
                case Fate.NOT_HANDLED:
                    assert not is_handed, what
                    self.not_handled.add(number)
                case _:
                    assert end is not None, what
                    assert is_handed or self._may_be_unknown, what

    @property
    def _may_be_unknown(self) -> bool:
        """Whether a process may have died that was given what no other process knows of."""
        session = self._stored_world.journal.sessions.get(self.session)
        return session is None or len(session.parts) > 1 or session.is_damaged
