"""Interprets the answer to a request: updates its link, and says what to do next. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

from transport import codes
from transport.errors import ProtocolError
from transport.protocol.client.acks import AckSchedule
from transport.protocol.client.events import Answer, Request
from transport.protocol.client.link import Link
from transport.protocol.client.polls import PollPacing
from transport.protocol.codec import Decoder
from transport.protocol.frames import Ack, Error, TransportKind

MAX_CONSECUTIVE_FAILURES = 3
"""Requests of one kind that may fail in a row before their link is dropped."""
MUTE_TIMEOUT = 5.0
"""Seconds for which a stream may stay silent after the server reports writing to it (SND-2)."""


@dataclass(frozen=True, slots=True)
class PostTaken:
    """The server took a POST: handle the frames, then check the stream with `read_stream_state`."""

    marks: Ack
    received: int
    """The server's mark of the uplink: everything after it must be written again."""
    frames: Sequence[Any]
    """All frames of the answer, ``marks`` included."""


@dataclass(frozen=True, slots=True)
class DownlinkFrames:
    """The answer holds frames of the downlink: receive them one after the other."""

    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Refused:
    """The server refused the request."""

    error: Error


@dataclass(frozen=True, slots=True)
class Failed:
    """The request failed, which says nothing about the channel.

    Attributes:
        reason: why to drop the link; None to retry the request, with the same content plus anything
            new (SND-1, POL-2).
        retry_in: the seconds after which to connect again, if an intermediary asked for that.
    """

    reason: str | None
    retry_in: float = 0.0


AnswerOutcome: TypeAlias = PostTaken | DownlinkFrames | Refused | Failed


def read_answer(
    link: Link,
    answer: Answer,
    decoder: Decoder,
    acks: AckSchedule,
    polls: PollPacing,
    now: float,
) -> AnswerOutcome:
    """Record on ``link`` that a request was answered or failed, and return what that means.

    Raises:
        ProtocolError: a POST was answered by something other than the channel. Nothing was changed.
    """
    lines = [line for line in answer.text.split("\n") if line]
    if answer.request is Request.POST and answer.status == 200:
        return _read_taken(link, [decoder.decode(line) for line in lines])
    held = 0.0
    if answer.request is Request.POLL and link.polled_at is not None:
        held = now - link.polled_at
        link.polled_at = None
    if answer.status == 200 and lines:
        if answer.request is Request.POLL:
            link.failed_polls = 0
            link.poll += 1
        return DownlinkFrames(lines)
    if answer.request is Request.POST:
        _put_back(link, acks)
    if (error := _read_error(decoder, lines)) is not None:
        return Refused(error)
    if answer.status == 200:  # empty: a newer poll has replaced this one (POL-2)
        link.poll += 1
    else:
        polls.failed(held)
    # A poll without an answer means that the connection is gone, like the end of a stream.
    cut = answer.request is Request.POLL and not answer.status
    failures = _count_failure(link, answer.request)
    if cut or answer.retry_in or failures >= MAX_CONSECUTIVE_FAILURES:
        reason = f"HTTP {answer.status}" if answer.status else "no answer"
        return Failed("ended" if answer.status == 200 else reason, answer.retry_in)
    return Failed(None)


def _count_failure(link: Link, request: Request) -> int:
    """Return how many requests of this kind have failed in a row; an ``open`` is not repeated.

    Polls that are answered say nothing about POSTs: an intermediary may let only one kind pass.
    """
    match request:
        case Request.POST:
            link.failed_posts += 1
            return link.failed_posts
        case Request.POLL:
            link.failed_polls += 1
            return link.failed_polls
        case Request.OPEN:
            return MAX_CONSECUTIVE_FAILURES
        case _:
            assert_never(request)


def _read_taken(link: Link, frames: Sequence[Any]) -> PostTaken:
    """Read the answer to a POST: marks, the state of the stream, other frames (SND-2)."""
    first = frames[0] if frames else None
    if not isinstance(first, Ack) or not isinstance(first.received, int):
        raise ProtocolError(codes.BAD_FRAME, "a POST's answer begins with the marks")
    link.post = None
    link.failed_posts = 0
    return PostTaken(first, first.received, frames)


def _read_error(decoder: Decoder, lines: Sequence[str]) -> Error | None:
    """Return the error that refused a request.

    Return None if the body is not ours (an intermediary's error page): treat that as no answer.
    """
    try:
        frame = decoder.decode(lines[0]) if lines else None
    except ProtocolError:
        return None
    return frame if isinstance(frame, Error) else None


def _put_back(link: Link, acks: AckSchedule) -> None:
    """Restore what the failed POST carried, and make the ack due again."""
    post, link.post = link.post, None
    if post is not None:
        link.next = min(link.next, post.next)  # lower if a refusal was read meanwhile (DAT-5)
        link.control[:0] = post.control
        link.close_written = link.leave_written = False
        link.acked = -1
        acks.set_due()


def read_stream_state(link: Link, marks: Ack, received: int, now: float) -> bool:
    """Record what the answer to a POST says about the stream (SND-2).

    If the server has written to the stream but nothing arrived, an intermediary may be buffering
    it: the stream then ends after `MUTE_TIMEOUT` without a frame.

    Returns:
        Whether the stream is attached.
    """
    if link.transport is not TransportKind.SSE:
        return True
    if marks.attached is False:
        return False
    if isinstance(marks.sent, int) and marks.sent > received:
        link.until = min(link.until, now + MUTE_TIMEOUT)
    return True
