"""`Edge`: passes on the connections of sessions whose home is another process."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import assert_never

from msgspec import UNSET, structs

from transport.bus.interface import Bus, Pipe
from transport.bus.items import End, Frames, LinkItem, Lost, Ready
from transport.bus.text import encode_text
from transport.limits import Limits
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import (
    Open,
    Opened,
    Reset,
    TransportKind,
)
from transport.protocol.server.opening import Begin, FinalAnswer
from transport.server.authentication import Authenticator
from transport.server.elsewhere import Visitor
from transport.server.relay.asking import Asking
from transport.server.relay.edge_link import EdgeLink, most_waiting, with_token
from transport.server.relay.edge_renewer import EdgeRenewer
from transport.server.relay.messages import (
    Attached,
    Final,
    Opening,
    Refused,
    Replaced,
    Unknown,
    code_named,
    decode_opened,
)
from transport.stores.tokens import Credential

NO_NONCE = "-" * 22


class Edge:
    """Has the links of clients that are connected here, and whose sessions are elsewhere.

    Args:
        bus: to the other processes.
        asking: asks the homes.
        authenticator: of the clients that connect here.
        limits: of the hub.
        return_window: returns the seconds in which clients come back once this process stops.

    Attributes:
        drained: has those seconds as its result when this process stops.
    """

    def __init__(
        self,
        bus: Bus,
        asking: Asking,
        authenticator: Authenticator,
        limits: Limits,
        return_window: Callable[[], float],
    ) -> None:
        self._bus = bus
        self._asking = asking
        self._authenticator = authenticator
        self._limits = limits
        self._decoder = Decoder(limits)
        self._numbers = itertools.count(1)
        self._links: dict[tuple[Pipe, int], EdgeLink] = {}
        self._return_window = return_window
        self.drained: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    async def open(
        self,
        home: str,
        frame: Open,
        visitor: Visitor,
        credential: Credential,
        transport: TransportKind,
        *,
        token: str | None = None,
        reset: Reset | None = None,
    ) -> EdgeLink | FinalAnswer | Begin | None:
        """Ask a home to attach a connection; return None if it has no such session.

        Args:
            home: the process.
            frame: the ``open``.
            visitor: who sent it.
            credential: of the session.
            transport: over which it came.
            token: of a session that is begun; None for one that is resumed.
            reset: of the session that the client had before.

        Raises:
            NotReached: it is gone, or out of reach.
            ProtocolError: as it says; ``unavailable`` if it does not answer.
        """
        question = Opening(
            next(self._numbers),
            encode_control(
                structs.replace(frame, session=credential.id, nonce=NO_NONCE, credentials=UNSET)
            ),
            transport.value,
            credential.id,
            credential.hash,
            encode_text(visitor.identity.subject),
            visitor.identity.expires,
            begins=token is not None,
            reset=reset,
        )
        assert visitor.request is not None
        renewer = EdgeRenewer(
            self._authenticator,
            credential,
            visitor.request.scope,
            partial(self._asking.renewed, home),
            question.link,
        )
        pipe = self._bus.pipe_to(home)
        link = EdgeLink(
            pipe,
            question.link,
            most_waiting(self._limits),
            self._decoder,
            renewer,
            self._forget,
            token,
        )
        self._links[pipe, link.number] = link
        try:
            answer = decode_opened(await self._asking.ask(pipe, "open", question))
        except BaseException:
            link.lost()
            raise
        match answer:
            case Attached(frames):
                link.take(frames)
                if self.drained.done():
                    link.drain(self.drained.result())
                return link
            case Final(finals, code, close_code):
                self._forget(link)
                if token is not None and isinstance(finals[0], Opened):
                    finals[0] = with_token(finals[0], token)
                return FinalAnswer(tuple(finals), code_named(code), close_code)
            case Replaced(reset):
                self._forget(link)
                return Begin(reset)
            case Unknown():
                self._forget(link)
                return None
            case Refused(failure):
                self._forget(link)
                raise failure.error()
            case _:
                assert_never(answer)

    # The bus

    def received(self, pipe: Pipe, item: LinkItem) -> None:
        """Take an item of a link that this process has opened."""
        link = self._links.get((pipe, item.link))
        match item:
            case Frames() if link is not None:
                link.frames(item)
            case Frames():  # the client has left; the home may not have read that yet
                pipe.send(Lost(item.link))
            case Ready(count=count) if link is not None:
                link.ready(count)
            case End() if link is not None:
                link.end(item)
            case _:
                pass  # it is over

    def ended(self, pipe: Pipe) -> None:
        """End the connections whose home is gone, or out of reach: their clients resume."""
        for each, number in list(self._links):
            if each is pipe:
                self._links.pop((each, number)).cut()

    def drain(self) -> None:
        """Tell the clients of other homes to resume elsewhere: this process stops (DRN-1)."""
        if self.drained.get_loop().is_closed():
            return
        if not self.drained.done():
            self.drained.set_result(self._return_window())
        self.send_away(self.drained.result())

    def clients(self) -> Iterator[Callable[[], None]]:
        """Return, for each client of another home, what tells it to resume elsewhere at once."""
        return (partial(link.drain, 0.0) for link in list(self._links.values()))

    def send_away(self, retry_in: float) -> None:
        """Tell the clients of other homes to resume within some seconds, at any process."""
        for link in list(self._links.values()):
            link.drain(retry_in)

    def _forget(self, link: EdgeLink) -> None:
        self._links.pop((link.pipe, link.number), None)
