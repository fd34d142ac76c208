"""`Edge`: passes on the connections of sessions whose home is another process."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from typing import assert_never

from msgspec import UNSET, structs

from transport.bus.calls import ANSWER_WITHIN
from transport.bus.interface import Bus, NotReached, Pipe
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
from transport.server.relay.asking import Asking, unavailable
from transport.server.relay.edge_link import EdgeLink, most_waiting, with_token
from transport.server.relay.edge_renewer import EdgeRenewer
from transport.server.relay.homes import Homes
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
from transport.server.relay.reservations import Reservations, opening_key
from transport.stores.tokens import Credential, derive_secret, hash_secret, make_token
from transport.waiting import resolve

MAX_PLACES = 3
"""Processes that may be tried for one opening, each of which turns out not to have its session."""

NO_NONCE = "-" * 22


class Edge:
    """Opens sessions of the other processes, and has the links of their clients here.

    Args:
        bus: to the other processes.
        asking: asks the homes.
        reservations: of openings.
        authenticator: of the clients that connect here.
        limits: of the hub.
        homes: finds that of a session.
        until_joined: waits until the other processes are known.

    Attributes:
        drained: resolved when this process stops.
    """

    def __init__(
        self,
        bus: Bus,
        asking: Asking,
        reservations: Reservations,
        authenticator: Authenticator,
        limits: Limits,
        homes: Homes,
        until_joined: Callable[[], Awaitable[None]],
    ) -> None:
        self._bus = bus
        self._asking = asking
        self._reservations = reservations
        self._authenticator = authenticator
        self._limits = limits
        self._homes = homes
        self._until_joined = until_joined
        self._decoder = Decoder(limits)
        self._numbers = itertools.count(1)
        self._links: dict[tuple[Pipe, int], EdgeLink] = {}
        self._beginning: dict[str, asyncio.Future[None]] = {}
        self.drained = asyncio.get_running_loop().create_future()

    # `OpeningElsewhere`

    async def held_session(self, credential: Credential) -> str:
        """See `OpeningElsewhere.held_session`."""
        await self._until_joined()
        return await self._asking.held_session(credential)

    async def resume(
        self, frame: Open, visitor: Visitor, transport: TransportKind
    ) -> EdgeLink | FinalAnswer | Begin | None:
        """See `OpeningElsewhere.resume`."""
        await self._until_joined()
        assert visitor.credential is not None
        home = await self._homes.find(visitor.credential.id)
        if home is None:
            return None
        try:
            return await self._open(home, frame, visitor, visitor.credential, transport)
        except NotReached:
            await self._asking.check_gone(visitor.credential.id)
            return None

    async def begin(
        self, frame: Open, visitor: Visitor, transport: TransportKind, reset: Reset | None
    ) -> EdgeLink | FinalAnswer | str:
        """See `OpeningElsewhere.begin`."""
        await self._until_joined()
        subject = visitor.identity.subject
        opening = opening_key(subject, frame.client, frame.nonce)
        mine = self._bus.name + secrets.token_urlsafe(9)
        begun = self._beginning[mine] = asyncio.get_running_loop().create_future()
        instead = ""
        try:
            for _ in range(MAX_PLACES):
                session_id = await self._reservations.reserve(opening, mine, instead)
                home = await self._homes.find(session_id)
                if home is None and session_id.startswith(self._bus.name):
                    return session_id
                if home is not None:
                    secret = derive_secret(
                        self._bus.secret, session_id, subject, frame.client, frame.nonce
                    )
                    credential = Credential(session_id, hash_secret(secret))
                    token = make_token(session_id, secret)
                    try:
                        answer = await self._open(
                            home, frame, visitor, credential, transport, token=token, reset=reset
                        )
                    except NotReached:
                        await self._asking.check_gone(session_id)
                        answer = None
                    if answer is not None:
                        assert not isinstance(answer, Begin)
                        return answer
                instead = session_id
        finally:
            # The session is created before anything else runs.
            begun.set_result(None)
            del self._beginning[mine]
        raise unavailable()

    async def until_begun(self, session_id: str) -> None:
        """Wait while this process is about to begin a session whose id it has proposed."""
        begun = self._beginning.get(session_id)
        if begun is not None:
            await asyncio.wait([begun], timeout=ANSWER_WITHIN)

    async def _open(
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
                    link.drain(self._limits.drain_window)
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
            case Ready() if link is not None:
                link.ready()
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
        resolve(self.drained)
        for link in list(self._links.values()):
            link.drain(self._limits.drain_window)

    def _forget(self, link: EdgeLink) -> None:
        self._links.pop((link.pipe, link.number), None)
