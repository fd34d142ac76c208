"""`EdgeRequests`: passes on POSTs and polls of sessions whose home is another process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

from msgspec import structs
from starlette.types import Scope

from transport import codes
from transport.bus.calls import ANSWER_WITHIN
from transport.bus.interface import NotReached
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import Drain, EncodedFrame, Poll, Renew, Send
from transport.protocol.server.uplink import unknown_session
from transport.server.authentication import Authenticator
from transport.server.relay.asking import Asking, not_attached
from transport.server.relay.edge_renewer import EdgeRenewer
from transport.server.relay.homes import Homes
from transport.server.relay.messages import Polled, Posted
from transport.server.uplink import JITTER
from transport.stores.tokens import Credential, read_token
from transport.waiting import resolve

MAX_PLACES = 3
"""Processes that may be tried for one request, each of which turns out not to have its session."""

POST_HELD = 12.0
"""Seconds for which a POST waits while nothing passes between the processes: a client waits for
10 s, and then sends it again on the same attach (SND-4). An error would end its stream."""

FIND_AGAIN_AFTER = 0.25
"""Seconds until the store is asked again for a home, if it does not answer either."""


class EdgeRequests:
    """Implements `UplinkElsewhere`.

    Args:
        asking: asks the homes.
        homes: finds that of a session.
        authenticator: of the clients that ask here.
        limits: of the hub.
        drained: see `Edge`.
        until_joined: waits until the other processes are known.
    """

    def __init__(
        self,
        asking: Asking,
        homes: Homes,
        authenticator: Authenticator,
        limits: Limits,
        drained: asyncio.Future[float],
        until_joined: Callable[[], Awaitable[None]],
    ) -> None:
        self._asking = asking
        self._homes = homes
        self._authenticator = authenticator
        self._limits = limits
        self._drained = drained
        self._until_joined = until_joined
        self._decoder = Decoder(limits)
        self._parked: set[asyncio.Future[None]] = set()
        """One for each parked poll: resolved when its client is sent away."""

    def clients(self) -> Iterator[Callable[[], None]]:
        """Return, for each parked poll, what tells its client to resume elsewhere at once."""
        return (partial(resolve, parked) for parked in list(self._parked))

    async def send(self, body: bytes, scope: Scope) -> list[EncodedFrame] | None:
        """See `UplinkElsewhere.send`."""
        await self._until_joined()
        line, _, rest = body.partition(b"\n")
        [header] = self._decoder.decode_lines(line)
        credential = read_token(header.session) if isinstance(header, Send) else None
        if credential is None:
            return None
        return await self._at_home(
            credential.id,
            lambda home: self._send(home, credential, header, rest, scope),
            POST_HELD,
        )

    async def _at_home(
        self,
        session_id: str,
        ask: Callable[[str], Awaitable[list[EncodedFrame]]],
        held: float,
    ) -> list[EncodedFrame] | None:
        """Ask the home of a session; return None if the session is to be looked for here.

        Args:
            session_id: its public id.
            ask: asks a process.
            held: seconds for which the home is looked for while nothing passes between the
                processes.
        """
        until = asyncio.get_running_loop().time() + held
        looked_for = ""
        for _ in range(MAX_PLACES):
            home = await self._find(session_id, until)
            if home is None:
                return None
            try:
                return await ask(home)
            except NotReached:
                if await self._homes.has_moved(session_id, home):
                    continue
                # It may have counted as gone for a while, and this process may not have met it.
                if home != looked_for and await self._asking.look_for(home):
                    looked_for = home
                    continue
                await self._asking.check_gone(session_id)
                return None
            except ProtocolError as error:
                if error.code is codes.UNAVAILABLE:
                    if await self._homes.has_moved(session_id, home):
                        continue
                    await self._homes.check_answering(session_id)
                    raise
                if error.code is not codes.UNKNOWN_SESSION or not self._homes.is_wrong(session_id):
                    raise
        raise not_attached()

    async def _find(self, session_id: str, until: float) -> str | None:
        """Return the home of a session; see `Homes.find`.

        If it cannot be told, wait for `ANSWER_WITHIN`, and until then while nothing passes.
        """
        loop = asyncio.get_running_loop()
        in_any_case = loop.time() + ANSWER_WITHIN
        while True:
            try:
                return await self._homes.find(session_id)
            except ProtocolError as error:
                last = until if self._asking.is_stalled else in_any_case
                is_over = loop.time() >= last or self._drained.done()
                if error.code is not codes.UNAVAILABLE or is_over:
                    raise
            await asyncio.sleep(FIND_AGAIN_AFTER)

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
            if not await self._asking.held_session(credential):
                raise unknown_session()  # before anything is counted for it
            tell = partial(self._asking.renewed, home)
            renewer = EdgeRenewer(self._authenticator, credential, scope, tell)
            renewer.count_renewal()
            await renewer.renew(frame.credentials)
        return answer + await self._post(home, credential, first, b"\n".join(before))

    async def _post(
        self, home: str, credential: Credential, header: Send, rest: bytes
    ) -> list[EncodedFrame]:
        body = encode_control(header).encode() + b"\n" + rest
        within = ANSWER_WITHIN + self._limits.answer_wait
        question = Posted(*credential, body)
        return await self._asking.answer(home, "send", question, within, stalled=POST_HELD)

    async def poll(self, frame: Poll, credential: Credential) -> list[EncodedFrame] | None:
        """See `UplinkElsewhere.poll`."""
        await self._until_joined()
        loop = asyncio.get_running_loop()
        hold = self._limits.poll_hold
        began = loop.time()
        try:
            return await self._at_home(
                credential.id, lambda home: self._poll(home, frame, credential), hold
            )
        except ProtocolError as error:
            is_held = loop.time() - began >= hold
            if error.code is codes.UNAVAILABLE and is_held and self._asking.is_stalled:
                return []  # the next poll is answered from the client's mark on (POL-2)
            raise

    async def _poll(self, home: str, frame: Poll, credential: Credential) -> list[EncodedFrame]:
        text = encode_control(structs.replace(frame, session=credential.id))
        # It may be parked for as long as a poll is held, or until this process stops.
        within = self._limits.poll_hold * (1 + JITTER) + ANSWER_WITHIN
        work = self._asking.answer(home, "poll", Polled(*credential, text), within)
        loop = asyncio.get_running_loop()
        asking = loop.create_task(work)
        sent_away: asyncio.Future[None] = loop.create_future()
        self._parked.add(sent_away)
        try:
            either: list[asyncio.Future[Any]] = [asking, sent_away, self._drained]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return await asking
            retry_in = self._drained.result() if self._drained.done() else 0.0
            return [encode_control(Drain(retry_in=retry_in))]
        finally:
            self._parked.discard(sent_away)
            asking.cancel()
