"""`Uplink`: a POST's frames and a poll, for a session that its token names."""

from __future__ import annotations

from typing import Any

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import encode_control
from transport.protocol.frames import Data, EncodedFrame, Poll, Renew, Send, TransportKind
from transport.protocol.server.attachments import Attachment
from transport.server.adapters.ports import Link
from transport.server.registry import Registry
from transport.server.runner import Runner
from transport.stores.records import split_token


class Uplink:
    """Takes requests that belong to an attach which an ``open`` has made before.

    Args:
        registry: the sessions of this process.
        limits: for how long the answer to a POST waits for the handler.
    """

    def __init__(self, registry: Registry, limits: Limits) -> None:
        self._registry = registry
        self._limits = limits

    async def poll(self, frame: Poll) -> Link | None:
        """Continue a long poll's attach; see `Entrance.poll`."""
        runner = await self._find(frame)
        attachment = runner.session.attachments.find(frame.client, frame.attach)
        link = runner.driver.find_link(attachment) if attachment is not None else None
        if attachment is None or link is None:
            raise ProtocolError(codes.NOT_ATTACHED, "this attach has ended: open another")
        if attachment.transport is not TransportKind.LONGPOLL:
            raise ProtocolError(codes.BAD_FRAME, "this attach is not a long poll")
        fresh = runner.session.poll(attachment, frame, self._registry.now())
        runner.driver.notify()
        return link if fresh else None

    async def send(self, frames: list[Any]) -> list[EncodedFrame]:
        """Take the frames of a POST and return its answer; see `Entrance.send`."""
        header, *rest = frames
        if isinstance(header, ProtocolError):
            raise header
        if not isinstance(header, Send):
            raise ProtocolError(codes.BAD_FRAME, "the first line is the send frame")
        runner = await self._find(header)
        session, now = runner.session, self._registry.now
        attachment = session.attachments.find(header.client, header.attach)
        replies: list[EncodedFrame] = []
        has_data = False
        try:
            if attachment is not None:
                session.attachments.confirm(attachment)
            session.record_activity(attachment, now())
            for frame in rest:
                if isinstance(frame, ProtocolError):
                    raise frame
                if isinstance(frame, Renew):
                    # A renewal can be slow: deliver the frames before it first.
                    runner.driver.notify()
                    await self._renew(runner, attachment, frame)
                    attachment = session.attachments.find(
                        header.client, header.attach
                    )  # it may have ended
                    continue
                has_data = has_data or isinstance(frame, Data)
                answers = session.receive(attachment, frame, now())
                replies += [encode_control(answer) for answer in answers]
        finally:
            runner.driver.notify()
        if session.ending is not None and session.ending.reset is not None:
            raise _unknown_session()  # one of these frames ended it; the rest was not taken
        if has_data:
            await runner.driver.handled_within(self._limits.answer_wait)
        if attachment is not None and attachment.code is not None:
            attachment = None
        return [encode_control(session.downlink.answer_post(attachment)), *replies]

    async def _renew(self, runner: Runner, attachment: Attachment | None, frame: Renew) -> None:
        """Renew the credentials; on failure the connection ends, as on WebSocket (REN-1)."""
        try:
            await runner.renew(frame.credentials)
        except ProtocolError as error:
            link = runner.driver.find_link(attachment) if attachment is not None else None
            if link is not None:
                link.fail(error)
            raise

    async def _find(self, frame: Send | Poll) -> Runner:
        """Find the session that a request names.

        Raises:
            ProtocolError: ``unknown_session``, the same for one that is unknown, expired or another
                user's (RES-9); ``wrong_process``; ``unauthorized`` (REN-1).
        """
        registry = self._registry
        parts = split_token(frame.session)
        record = await registry.store.find(parts[0], registry.now()) if parts else None
        if parts is not None and record is not None and record.opens_to(parts[1]):
            record.use(parts[1])
            runner = registry.get(record.id)
            if runner is not None and runner.session.ending is None:
                runner.credentials.check()
                return runner
        if isinstance(frame.epoch, str) and frame.epoch != registry.store.epoch:
            registry.warn_of_other_process(frame.epoch)
            raise ProtocolError(
                codes.WRONG_PROCESS, "this session is of another process, or of one that restarted"
            )
        raise _unknown_session()


def _unknown_session() -> ProtocolError:
    return ProtocolError(codes.UNKNOWN_SESSION, "there is no such session: open it again")
