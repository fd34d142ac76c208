"""What a link writes: the frames of a WebSocket, the bodies of POSTs, polls. Pure.

These are functions of a session's parts, which `Source` names. They return what to write and
advance the link past it; `answers` restores what a failed POST carried.
"""

from __future__ import annotations

from math import inf
from typing import Protocol

from msgspec import UNSET

from transport.protocol.client.acks import AckSchedule
from transport.protocol.client.events import Closing, Output, Request
from transport.protocol.client.handshake import Handshake
from transport.protocol.client.link import Link, PendingPost
from transport.protocol.client.outbox import Outbox
from transport.protocol.client.polls import PollPacing
from transport.protocol.client.terms import Terms
from transport.protocol.codec import encode_bytes, encode_control, encode_data, size_of
from transport.protocol.frames import (
    Ack,
    Close,
    EncodedFrame,
    Leave,
    Poll,
    Send,
    Skip,
    TransportKind,
)

_FRAME_OVERHEAD = 64
"""Maximum framing overhead of a frame, in bytes."""
_BYTES_OVERHEAD = 99
"""Maximum overhead of a message of bytes in base64, in bytes."""


class Source(Protocol):
    """The parts of a session from which its uplink is written."""

    @property
    def handshake(self) -> Handshake: ...
    @property
    def terms(self) -> Terms: ...
    @property
    def outbox(self) -> Outbox: ...
    @property
    def acks(self) -> AckSchedule: ...
    @property
    def polls(self) -> PollPacing: ...
    @property
    def closing(self) -> Closing | None: ...
    @property
    def is_leaving(self) -> bool: ...
    def leads(self, link: Link) -> bool: ...


def websocket_frames(source: Source, link: Link, now: float, *, confirms: bool) -> list[Output]:
    """Return the frames to write on ``link``; at least an ack if it ``confirms`` the attach."""
    frames: list[EncodedFrame] = [ack_frame(source, link)] if confirms else []
    fill(source, link, frames, now)
    return [Output(None, frames)] if frames else []


def requests(source: Source, link: Link, now: float, *, confirms: bool) -> list[Output]:
    """Return the requests to start on ``link``; at least one if it ``confirms`` the attach."""
    fields = source.handshake.session_fields(link.attach)
    outputs: list[Output] = []
    is_poll = link.transport is TransportKind.LONGPOLL
    leads = source.leads(link)
    # Before the POST: its answer can then bring the downlink, and an ack is in the poll.
    if is_poll and link.polled_at is None and leads:
        link.polled_at = now
        hold = source.polls.hold
        poll = Poll(
            **fields,
            poll=link.poll,
            ack=source.acks.mark(link),
            hold=UNSET if hold is None else hold,
        )
        outputs.append(Output(Request.POLL, [encode_control(poll)]))
    if link.post is None:
        mark = source.acks.incoming.received if is_poll else UNSET
        first = encode_control(Send(**fields, ack=mark))
        post = PendingPost(link.next, link.control)
        frames: list[EncodedFrame] = []
        is_due = fill(source, link, frames, now, source.terms.body - len(first))
        # On long poll the first poll confirms the attach (ATT-3).
        if frames or is_due or (confirms and not is_poll):
            link.post = post
            outputs.append(Output(Request.POST, [first, *frames]))
            if is_poll and leads:
                source.acks.mark(link)
    return outputs


def fill(
    source: Source, link: Link, frames: list[EncodedFrame], now: float, room: float = inf
) -> bool:
    """Add control frames, data, our ``close``, an ``ack`` that is due, our ``leave`` to ``frames``.

    Args:
        source: the session.
        link: the link that writes them.
        frames: the list to extend.
        now: the time, in seconds.
        room: bytes left in the body; infinite on WebSocket.

    Returns:
        Whether an ack is due. On long poll none is added: the first line names the mark (POL-5).
    """
    for control in link.control:
        frames.append(control)
        room -= size_of(control) + 1
    link.control = []
    if not source.leads(link):
        return False
    _fill_data(source, link, frames, room)
    closing = source.closing
    if closing and not link.close_written and link.next > source.outbox.buffer.last:
        frames.append(close_frame(source, link, closing))
    is_ack_due = now >= source.acks.due_on(link)
    if is_ack_due and link.transport is not TransportKind.LONGPOLL:
        frames.append(ack_frame(source, link))
    # Again after anything else, which would take it back.
    is_leave_due = bool(frames) or is_ack_due or not link.leave_written
    if source.is_leaving and is_leave_due and link.next > source.outbox.buffer.last:
        link.leave_written = True
        frames.append(encode_control(Leave()))
    return is_ack_due


def _fill_data(source: Source, link: Link, frames: list[EncodedFrame], room: float) -> None:
    outbox, acks, terms = source.outbox, source.acks, source.terms
    buffer = outbox.buffer
    http = room < inf
    # Messages that were acknowledged in the meantime are not retransmitted.
    number = max(link.next, buffer.acked + 1)
    texts: list[str] = []
    size = 0

    def flush() -> None:
        nonlocal size
        if texts:
            frames.append(encode_data(number - len(texts), acks.mark(link), texts))
            texts.clear()
            size = 0

    while (payload := buffer.peek(number)) is not None:
        skipped = number in buffer.skipped
        length = size_of(payload)
        text = isinstance(payload, str) and not skipped
        cost = length + 1 if text or not http else length * 4 // 3 + _BYTES_OVERHEAD
        if len(texts) >= terms.batch or size + cost + _FRAME_OVERHEAD > terms.body:
            flush()
        full = room < cost + _FRAME_OVERHEAD or len(frames) + 4 > terms.batch
        # At least one is written, as a body holds any one message (section 12).
        if http and full and len(texts) + len(frames) > 0:
            break
        if number <= buffer.sent:
            outbox.replayed += 1
        buffer.mark_written(number, length)
        room -= cost if texts else cost + _FRAME_OVERHEAD
        if skipped:
            flush()
            frames.append(encode_control(Skip(number=number, ack=acks.mark(link))))
        elif isinstance(payload, str):
            texts.append(payload)
            size += cost
        else:
            flush()
            frames.append(encode_bytes(number, acks.mark(link), payload, binary=not http))
        number += 1
    flush()
    link.next = number


def close_frame(source: Source, link: Link, closing: Closing) -> str:
    """Return our ``close``, requested or in answer to the server's (CLS-1, CLS-3)."""
    link.close_written = True
    return encode_control(
        Close(
            code=closing.code,
            reason=closing.reason,
            by=closing.by,
            last=source.outbox.buffer.sent,
            ack=source.acks.mark(link),
        )
    )


def ack_frame(source: Source, link: Link) -> str:
    """Return an ``ack``, which is being written on ``link``."""
    return encode_control(Ack(ack=source.acks.mark(link)))
