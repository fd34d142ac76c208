"""`Uplink`: handles POSTs and polls, which name their session by its token."""

from __future__ import annotations

import random
from typing import Any

from starlette.types import Scope

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder
from transport.protocol.frames import EncodedFrame, Poll, Renew, Send
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.tombstone import Tombstone
from transport.protocol.server.uplink import (
    Post,
    answer_ended,
    begin_poll,
    polled_attachment,
    require_session,
    split_header,
)
from transport.server.elsewhere import UplinkElsewhere
from transport.server.patience import Patience
from transport.server.registry import Registry
from transport.server.runner import Runner
from transport.stores.tokens import Credential, read_token

JITTER = 0.1
"""The random part of a hold, so that polls parked at the same time do not return together."""


class Uplink:
    """Handles the POSTs and polls of an existing attach.

    Args:
        registry: the sessions of this process.
        limits: of a POST, and for how long polls and the answers to POSTs wait.
        elsewhere: the other processes, if the hub has several.
    """

    def __init__(
        self, registry: Registry, limits: Limits, elsewhere: UplinkElsewhere | None = None
    ) -> None:
        self._registry = registry
        self._elsewhere = elsewhere
        self._decoder = Decoder(limits)
        self._hold = limits.poll_hold
        self._patience = Patience(registry.clock.loop, limits.answer_wait)

    async def poll(self, frame: Poll) -> list[EncodedFrame]:
        """Wait until something is due to a long poll's attach; see `Entrance.poll`."""
        credential = read_token(frame.session)
        if self._elsewhere is not None and credential is not None:
            answer = await self._elsewhere.poll(frame, credential)
            if answer is not None:
                return answer
        return await self.wait(frame, credential)

    async def wait(self, frame: Poll, credential: Credential | None) -> list[EncodedFrame]:
        """Do as `poll`, for a session of this process.

        Args:
            frame: the poll.
            credential: what its token proves, or None.
        """
        runner = await self._find(frame, credential)
        attachment = polled_attachment(frame, runner.session)
        link = runner.driver.find_link(attachment)
        if link is None:
            raise ProtocolError(codes.NOT_ATTACHED, "this attach has ended: open another")
        fresh = begin_poll(runner.session, attachment, frame, self._registry.now())
        runner.driver.notify()
        if not fresh:
            return []
        ticket = link.park()
        wish = frame.hold if isinstance(frame.hold, (int, float)) else self._hold
        hold = min(wish, self._hold) * random.uniform(1 - JITTER, 1)
        try:
            await link.due_within(hold)
            return link.write_poll() if link.is_newest_poll(ticket) else []
        finally:
            link.unpark(ticket)

    async def send(self, body: bytes, scope: Scope) -> list[EncodedFrame]:
        """Take the frames of a POST and return its answer; see `Entrance.send`."""
        if self._elsewhere is not None:
            answer = await self._elsewhere.send(body, scope)
            if answer is not None:
                return answer
        header, rest = split_header(self._decoder.decode_lines(body))
        work = self.take(header, rest, read_token(header.session))
        del body, rest  # not kept while the handler works
        return await work

    async def take(
        self, header: Send, rest: list[Any], credential: Credential | None
    ) -> list[EncodedFrame]:
        """Do as `send`, for a session of this process.

        Args:
            header: the ``send``.
            rest: the other frames.
            credential: what the token of the ``send`` proves, or None.
        """
        try:
            runner = await self._find(header, credential)
        except ProtocolError as error:
            if error.code is not codes.UNKNOWN_SESSION:
                raise
            return answer_ended(header, rest, await self._ended(credential))
        now = self._registry.now
        driver = runner.driver
        post = Post(header, rest, runner.session)
        del rest  # it holds messages as objects: not kept while the handler works
        try:
            while (renewal := post.take(now())) is not None:
                # A renewal can be slow: deliver the frames before it first.
                driver.notify()
                await self._renew(runner, post.attachment, renewal)
                post.reattach()
            post.hold_downlink()
            driver.notify()
            if post.has_data:
                await driver.handled_in_time(self._patience)
            answer = post.answer()
            if runner.session.downlink.ack_waiters:
                driver.notify()  # the poll asks for the ack of what this answer brings
            return answer
        except BaseException:  # cancelled, too: what waited for the answer wakes the poll
            post.release_downlink()
            driver.notify()
            raise

    async def _renew(self, runner: Runner, attachment: Attachment | None, frame: Renew) -> None:
        """Renew the credentials; on failure the connection ends, as on WebSocket (REN-1)."""
        try:
            runner.count_renewal()
            await runner.renew(frame.credentials)
        except ProtocolError as error:
            link = runner.driver.find_link(attachment) if attachment is not None else None
            if link is not None:
                link.fail(error)
            raise

    async def _ended(self, credential: Credential | None) -> Tombstone | None:
        """Return how the session that a POST names has ended, if it has."""
        record = await self._registry.find_record(credential)
        return self._registry.known(record).ended if record is not None else None

    async def _find(self, frame: Send | Poll, credential: Credential | None) -> Runner:
        """Find the session that a request names.

        Raises:
            ProtocolError: ``unknown_session``, whether it is unknown or has ended, or the token is
                wrong (RES-9); ``wrong_process``; ``unauthorized`` (REN-1).
        """
        registry = self._registry
        record = await registry.find_record(credential)
        runner = registry.get(record.id) if record is not None else None
        session = runner.session if runner is not None else None
        try:
            require_session(frame, session, epoch=registry.epoch)
        except ProtocolError as error:
            if error.code is codes.WRONG_PROCESS and isinstance(frame.epoch, str):
                registry.warn_of_other_process(frame.epoch)
            raise
        assert runner is not None
        runner.credentials.check()
        return runner
