"""`ModelClient`: the client of a world of processes; checks what its session says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.types import Receive, Scope, Send

from transport.errors import Fate
from transport.protocol.client.events import Attached, Closed, Event, Messages, Settled, WasReset
from transport.protocol.frames import ResetReason, TransportKind
from transport.testing.page_driver import PageDriver

if TYPE_CHECKING:
    from tests.properties.processes.world import World


class ModelClient(PageDriver):
    """A page of the model. Each of its requests reaches a random process.

    Args:
        world: it belongs to.
        index: names it.
        transport: of its first connection.
    """

    def __init__(self, world: World, index: int, transport: TransportKind) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await world.serve(scope, receive, send)

        super().__init__(app, "", transport, None, None)
        self.index = index
        self.sent = 0
        self.session = ""
        """The id of its session."""
        self.taken: dict[str, int] = {}
        """How many messages it has received, by session."""
        self.not_handled: set[int] = set()
        self.is_settled: set[int] = set()
        self._world = world

    def say(self, replies: int, delay: int) -> None:
        """Send a message, to which the handler sends replies; its work takes milliseconds."""
        self.sent += 1
        assert self.send([self.index, self.sent, replies, delay]) == self.sent

    # What its session says

    def _on_event(self, event: Event) -> None:
        with self._world.noting_failures():
            self._check(event)
        super()._on_event(event)

    def _check(self, event: Event) -> None:
        match event:
            case Attached():
                self.session = event.id
            case Messages():
                for message in event.messages:
                    self._take(message)
            case Settled():
                self._learn_fate(event)
            case WasReset():
                self._world.check_reset(self, event)
                for settled in event.sends:
                    self._learn_fate(settled, event.reason)
            case Closed():
                raise AssertionError(f"client {self.index} was closed: {event}")
            case _:
                pass

    def _take(self, message: Any) -> None:
        session, number = message
        assert session == self.session, f"a message of {session} came in {self.session}"
        expected = self.taken.get(session, 0) + 1
        assert number == expected, f"message {number} of {session} came in place of {expected}"
        self.taken[session] = number

    def _learn_fate(self, settled: Settled, reason: ResetReason | None = None) -> None:
        journal = self._world.journal
        for number in range(settled.first, settled.last + 1):
            assert number not in self.is_settled, f"message {number} was settled twice"
            self.is_settled.add(number)
            what = f"message {number} of client {self.index} is told as {settled.fate}"
            is_handed = number in journal.handed.get(self.index, ())
            match settled.fate:
                case Fate.HANDLED:
                    assert (self.index, number) in journal.finished, what
                case Fate.NOT_HANDLED:
                    assert not is_handed, what
                    self.not_handled.add(number)
                case _:
                    assert reason is not None, what
                    assert reason is ResetReason.RESTARTED or is_handed, f"{what} at {reason}"
