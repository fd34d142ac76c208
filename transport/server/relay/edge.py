"""`Edge`: passes on the connections and requests of sessions whose home is another process."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, assert_never

from msgspec import UNSET, Raw, structs
from starlette.types import Scope

from transport import codes
from transport.bus.calls import ANSWER_WITHIN, Calls
from transport.bus.interface import Bus, NoAnswer, NotReached, Pipe
from transport.bus.items import End, Frames, LinkItem, Lost, Ready
from transport.bus.text import encode_text
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import (
    Drain,
    EncodedFrame,
    Open,
    Opened,
    Poll,
    Renew,
    Reset,
    Send,
    TransportKind,
)
from transport.protocol.server.opening import Begin, FinalAnswer
from transport.protocol.server.uplink import unknown_session
from transport.server.authentication import Authenticator
from transport.server.elsewhere import Visitor
from transport.server.relay.edge_link import EdgeLink, most_waiting, with_token
from transport.server.relay.edge_renewer import EdgeRenewer
from transport.server.relay.homes import Homes
from transport.server.relay.messages import (
    Attached,
    Final,
    Held,
    Opening,
    Polled,
    Posted,
    Refused,
    Renewed,
    Replaced,
    Unknown,
    code_named,
    decode_answered,
    decode_id,
    decode_opened,
)
from transport.server.relay.reservations import Reservations, opening_key
from transport.server.uplink import JITTER
from transport.stores.tokens import Credential, derive_secret, hash_secret, make_token, read_token
from transport.waiting import resolve

MAX_PLACES = 3
"""Processes that may be tried for one opening, each of which turns out not to have its session."""

RETRY_IN = 1.0
"""Seconds after which a client asks again for a session whose home does not answer."""

NO_NONCE = "-" * 22


class Edge:
    """The other processes of a hub, as this one reaches them.

    Args:
        bus: to the other processes.
        calls: over it.
        reservations: of openings.
        authenticator: of the clients that connect here.
        limits: of the hub.
        homes: finds that of a session.
        until_joined: waits until the other processes are known.
    """

    def __init__(
        self,
        bus: Bus,
        calls: Calls,
        reservations: Reservations,
        authenticator: Authenticator,
        limits: Limits,
        homes: Homes,
        until_joined: Callable[[], Awaitable[None]],
    ) -> None:
        self._bus = bus
        self._calls = calls
        self._reservations = reservations
        self._authenticator = authenticator
        self._limits = limits
        self._homes = homes
        self._until_joined = until_joined
        self._decoder = Decoder(limits)
        self._numbers = itertools.count(1)
        self._links: dict[tuple[Pipe, int], EdgeLink] = {}
        self._beginning: dict[str, asyncio.Future[None]] = {}
        self._drained = asyncio.get_running_loop().create_future()

    # `OpeningElsewhere`

    async def held_session(self, credential: Credential) -> str:
        """See `OpeningElsewhere.held_session`."""
        await self._until_joined()
        home = await self._homes.find(credential.id)
        if home is None:
            return ""
        try:
            pipe = self._bus.pipe_to(home)
            return decode_id(await self._ask(pipe, "held", Held(*credential)))
        except NotReached:
            await self._check_gone(credential.id)
            return ""

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
            await self._check_gone(visitor.credential.id)
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
                        await self._check_gone(session_id)
                        answer = None
                    if answer is not None:
                        assert not isinstance(answer, Begin)
                        return answer
                instead = session_id
        finally:
            # The session is created before anything else runs.
            begun.set_result(None)
            del self._beginning[mine]
        raise _unavailable()

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
        renewer = self._renewer(home, credential, visitor.request.scope, question.link)
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
            answer = decode_opened(await self._ask(pipe, "open", question))
        except BaseException:
            link.lost()
            raise
        match answer:
            case Attached(frames):
                link.take(frames)
                if self._drained.done():
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

    # `UplinkElsewhere`

    async def send(self, body: bytes, scope: Scope) -> list[EncodedFrame] | None:
        """See `UplinkElsewhere.send`."""
        await self._until_joined()
        line, _, rest = body.partition(b"\n")
        [header] = self._decoder.decode_lines(line)
        credential = read_token(header.session) if isinstance(header, Send) else None
        home = await self._homes.find(credential.id) if credential is not None else None
        if home is None or credential is None:
            return None
        try:
            return await self._send(home, credential, header, rest, scope)
        except NotReached:
            await self._check_gone(credential.id)
            return None

    async def _send(
        self, home: str, credential: Credential, header: Send, rest: bytes, scope: Scope
    ) -> list[EncodedFrame]:
        first = structs.replace(header, session=credential.id)
        # A renewal is not passed on. What stands before it is delivered first.
        before: list[bytes] = []
        answer: list[EncodedFrame] = []
        for each in rest.split(b"\n"):
            [frame] = [None] if each.startswith(b"[") else self._decoder.decode_lines(each)
            if not isinstance(frame, Renew):
                before.append(each)
                continue
            if before:
                answer += await self._post(home, credential, first, b"\n".join(before))
                before.clear()
            if not await self.held_session(credential):
                raise unknown_session()  # before anything is counted for it
            renewer = self._renewer(home, credential, scope)
            renewer.count_renewal()
            await renewer.renew(frame.credentials)
        return answer + await self._post(home, credential, first, b"\n".join(before))

    async def _post(
        self, home: str, credential: Credential, header: Send, rest: bytes
    ) -> list[EncodedFrame]:
        body = encode_control(header).encode() + b"\n" + rest
        within = ANSWER_WITHIN + self._limits.answer_wait
        return await self._answer(home, "send", Posted(*credential, body), within)

    async def poll(self, frame: Poll, credential: Credential) -> list[EncodedFrame] | None:
        """See `UplinkElsewhere.poll`."""
        await self._until_joined()
        home = await self._homes.find(credential.id)
        if home is None:
            return None
        text = encode_control(structs.replace(frame, session=credential.id))
        # It may be parked for as long as a poll is held, or until this process stops.
        within = self._limits.poll_hold * (1 + JITTER) + ANSWER_WITHIN
        work = self._answer(home, "poll", Polled(*credential, text), within)
        asking = asyncio.get_running_loop().create_task(work)
        try:
            await asyncio.wait({asking, self._drained}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return await asking
            return [encode_control(Drain(retry_in=self._limits.drain_window))]
        except NotReached:
            await self._check_gone(credential.id)
            return None
        finally:
            asking.cancel()

    def _renewer(
        self, home: str, credential: Credential, scope: Scope, link: int = 0
    ) -> EdgeRenewer:
        async def tell(outcome: Renewed) -> list[Any]:
            try:
                return await self._answer(home, "renew", outcome, ANSWER_WITHIN)
            except NotReached:
                raise _unavailable() from None

        return EdgeRenewer(self._authenticator, credential, scope, tell, link)

    # Calls

    async def _answer(
        self, home: str, kind: str, question: Any, within: float
    ) -> list[EncodedFrame]:
        """Return the frames that a home answers.

        Raises:
            NotReached: it is gone, or out of reach.
            ProtocolError: as it says; ``unavailable`` if it does not answer.
        """
        pipe = self._bus.pipe_to(home)
        answer = decode_answered(await self._ask(pipe, kind, question, within))
        if isinstance(answer, Refused):
            raise answer.failure.error()
        return answer.frames

    async def _check_gone(self, session_id: str) -> None:
        """Return if the home of a session, which was not reached, is gone: so is the session.

        Raises:
            ProtocolError: ``unavailable``: it lives.
        """
        if not await self._homes.is_gone(session_id):
            raise _unavailable()

    async def _ask(
        self, pipe: Pipe, kind: str, question: Any, within: float = ANSWER_WITHIN
    ) -> Raw:
        try:
            return await self._calls.call(pipe, kind, question, within)
        except NoAnswer:
            raise _unavailable() from None

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
        if self._drained.get_loop().is_closed():
            return
        resolve(self._drained)
        for link in list(self._links.values()):
            link.drain(self._limits.drain_window)

    def _forget(self, link: EdgeLink) -> None:
        self._links.pop((link.pipe, link.number), None)


def _unavailable() -> ProtocolError:
    return ProtocolError(
        codes.UNAVAILABLE,
        "the process that has this session does not answer",
        retry_in=RETRY_IN,
    )
