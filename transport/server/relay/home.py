"""`Home`: serves the connections and requests that other processes relay to sessions here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, assert_never, cast

from msgspec import Raw

from transport import codes
from transport.bus.calls import Calls
from transport.bus.interface import Pipe
from transport.bus.items import End, Frames, LinkItem, Lost, Ready
from transport.bus.text import decode_text
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder
from transport.protocol.frames import (
    Close,
    EncodedFrame,
    Open,
    Opened,
    Poll,
    Renew,
    Reset,
    TransportKind,
)
from transport.protocol.server.opening import Begin, FinalAnswer
from transport.protocol.server.uplink import split_header, unknown_session
from transport.server.authentication import Identity
from transport.server.elsewhere import Visitor
from transport.server.link import SessionLink
from transport.server.opening import Opener
from transport.server.registry import Registry
from transport.server.relay.home_link import HomeLink
from transport.server.relay.messages import (
    Answered,
    Attached,
    Failure,
    Final,
    Refused,
    Replaced,
    Unknown,
    decode_held,
    decode_opening,
    decode_polled,
    decode_posted,
    decode_renewed,
)
from transport.server.renewals import relayed_renewal_error
from transport.server.uplink import Uplink
from transport.stores.tokens import Credential

FLUSH_WITHIN = 3.0
"""Seconds that a process which stops waits for clients of other processes to read."""


class Home:
    """Answers the calls of the edges, and has the links that they relay.

    Args:
        registry: the sessions of this process.
        opener: attaches connections.
        uplink: handles POSTs and polls.
        limits: of what is decoded.
        calls: over the bus.
        until_begun: waits while this process is about to begin the session of an id that it has
            proposed.
    """

    def __init__(
        self,
        registry: Registry,
        opener: Opener,
        uplink: Uplink,
        limits: Limits,
        calls: Calls,
        until_begun: Callable[[str], Any],
    ) -> None:
        self._registry = registry
        self._opener = opener
        self._uplink = uplink
        self._decoder = Decoder(limits)
        self._until_begun = until_begun
        self._links: dict[tuple[Pipe, int], HomeLink] = {}
        for kind in ("held", "open", "send", "poll", "renew"):
            calls.respond(kind, getattr(self, f"_{kind}"))

    def received(self, pipe: Pipe, item: LinkItem) -> None:
        """Take an item of a link."""
        link = self._links.get((pipe, item.link))
        match item:
            case Frames() if link is not None:
                link.frames(item)
            case Frames():  # it has ended here; the edge may not have read that yet
                code = codes.NOT_ATTACHED
                pipe.send(End(item.link, code.name, code.close_code))
            case Ready(count=count) if link is not None:
                link.ready(count)
            case Lost() if link is not None:
                link.lost()
            case _:
                pass  # it is over

    def ended(self, pipe: Pipe) -> None:
        """Detach the connections of an edge that is gone."""
        for each, number in list(self._links):
            if each is pipe:
                self._links[each, number].lost()

    async def flush(self) -> None:
        """Wait until connections that have ended have got their last frames, if they read soon."""
        writers = [link.writer for link in self._links.values() if link.has_ended]
        if writers:
            await asyncio.wait(writers, timeout=FLUSH_WITHIN)

    # Calls

    async def _held(self, pipe: Pipe, body: Raw) -> str:
        question = decode_held(body)
        return await self._registry.held_session(Credential(question.id, question.hash))

    async def _open(self, pipe: Pipe, body: Raw) -> Any:
        question = decode_opening(body)
        frame = self._decoder.decode(question.frame)
        assert isinstance(frame, Open)
        visitor = Visitor(
            Identity(decode_text(question.subject), expires=question.expires),
            Credential(question.id, question.hash),
        )
        transport = TransportKind(question.transport)
        found: SessionLink | FinalAnswer | Begin | None
        try:
            await self._until_begun(question.id)
            if await self._denies(visitor.credential):
                return Unknown()
            if question.begins:
                found = await self._opener.attach_begun(frame, visitor, transport, question.reset)
            else:
                found = await self._opener.resume(frame, visitor, transport)
        except ProtocolError as error:
            return Refused(Failure.of(error))
        match found:
            case None:
                return Unknown()
            case Begin(reset):
                return Replaced(reset)
            case FinalAnswer():
                frames = cast("list[Opened | Close | Reset]", list(found.frames))
                return Final(frames, found.code.name, found.close_code)
            case SessionLink():
                return Attached(self._link(pipe, question.link, found, transport))
            case _:
                assert_never(found)

    async def _denies(self, credential: Credential | None) -> bool:
        """Whether nothing is known here of a session that any process may go on with."""
        registry = self._registry
        if registry.journals is None:
            return False
        record = await registry.find_record(credential)
        if record is None:
            return True
        # A session that was given up leaves its record for a moment.
        found = registry.known(record)
        return found.session is None and found.tombstone is None

    def _link(
        self, pipe: Pipe, number: int, link: SessionLink, transport: TransportKind
    ) -> list[EncodedFrame]:
        """Relay a link; return what answers the ``open`` of a long poll."""
        if transport is TransportKind.LONGPOLL:
            return link.write_poll()
        key = pipe, number
        self._links[key] = HomeLink(pipe, number, link, lambda: self._forget(key))
        return []

    def _forget(self, key: tuple[Pipe, int]) -> None:
        self._links.pop(key, None)

    async def _send(self, pipe: Pipe, body: Raw) -> Answered | Refused:
        question = decode_posted(body)
        try:
            header, rest = split_header(self._decoder.decode_lines(question.body))
            if any(isinstance(frame, Renew) for frame in rest):
                raise relayed_renewal_error()
            credential = Credential(question.id, question.hash)
            return Answered(await self._uplink.take(header, rest, credential))
        except ProtocolError as error:
            return Refused(Failure.of(error))

    async def _poll(self, pipe: Pipe, body: Raw) -> Answered | Refused:
        question = decode_polled(body)
        frame = self._decoder.decode(question.frame)
        assert isinstance(frame, Poll)
        try:
            credential = Credential(question.id, question.hash)
            return Answered(await self._uplink.wait(frame, credential))
        except ProtocolError as error:
            return Refused(Failure.of(error))

    async def _renew(self, pipe: Pipe, body: Raw) -> Answered | Refused:
        question = decode_renewed(body)
        credential = Credential(question.id, question.hash)
        record = await self._registry.find_record(credential)
        if record is None:  # nothing is checked for a token that is not valid
            return Refused(Failure.of(unknown_session()))
        runner = self._registry.get(record.id)
        if runner is None:
            return Answered([0])  # it is over: what comes next will tell the client
        if (link := self._links.get((pipe, question.link))) is not None:
            link.record_activity(self._registry.now())
        if question.accepted is None:
            return Answered([runner.credentials.accepted])
        try:
            if question.refused is not None:
                raise question.refused.error()
            runner.accept_renewal(Identity(decode_text(question.subject), expires=question.expires))
        except ProtocolError as error:
            runner.refuse_renewal(error, question.accepted)
            return Refused(Failure.of(error))
        return Answered([])
