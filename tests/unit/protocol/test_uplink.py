"""`Post`, and how its session is found: what the vectors do not show."""

from __future__ import annotations

from typing import Any

import pytest

from transport import codes
from transport.codes import Code
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Oversized, encode_control
from transport.protocol.frames import (
    Ack,
    Data,
    Open,
    Ping,
    Poll,
    Pong,
    Renew,
    ResetReason,
    Send,
    TransportKind,
)
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.opening import attach
from transport.protocol.server.session import ServerSession
from transport.protocol.server.uplink import (
    Post,
    answer_ended,
    polled_attachment,
    require_session,
    split_header,
)

CLIENT = "client-0123456789"
HEADER = Send(session="s1.t", client=CLIENT, attach=1)


def attached(session: ServerSession, transport: TransportKind = TransportKind.SSE) -> Attachment:
    """Return the first attachment of a session, whose ``opened`` was written."""
    frame = Open(
        versions=[1], client=CLIENT, nonce="n" * 22, attach=1, received=0, first_retained=1
    )
    attachment = attach(session, frame, transport, 0.0, epoch="e1", token="t")
    session.downlink.transmit(attachment, 0.0)
    return attachment


@pytest.fixture
def session() -> ServerSession:
    return ServerSession("s1", Limits(), 0.0)


def test_post_without_a_header_is_refused() -> None:
    """SND-1."""
    fault = ProtocolError(codes.BAD_FRAME, "no JSON")
    for first, message in ((Ping(), "first line"), (fault, "no JSON")):
        with pytest.raises(ProtocolError, match=message):
            split_header([first])
    assert split_header([HEADER, Ping()]) == (HEADER, [Ping()])


@pytest.mark.parametrize("is_known", [True, False])
def test_post_of_an_ended_session_with_a_fault_is_refused(
    session: ServerSession, is_known: bool
) -> None:
    """SND-3: it was not taken. Nor is anything of a session of which nothing is known."""
    attached(session)
    session.close(1000, "", "app", 0.0)
    ended = session.tombstone() if is_known else None
    fault = ProtocolError(codes.BAD_JSON, "no JSON")
    oversized = Oversized(Data(1, 0, [], 0), 1)
    frames = ([fault], [Ping(), oversized]) if is_known else ([],)
    for rest in frames:
        with pytest.raises(ProtocolError) as caught:
            answer_ended(HEADER, rest, ended)
        assert caught.value.code is codes.UNKNOWN_SESSION


def test_frames_before_a_fault_are_taken(session: ServerSession) -> None:
    """SND-3."""
    attachment = attached(session)
    fault = ProtocolError(codes.BAD_FRAME, "no JSON")
    post = Post(HEADER, [Data(1, 0, ["a"], 3), fault, Data(2, 0, ["b"], 3)], session)
    with pytest.raises(ProtocolError, match="no JSON"):
        post.take(0.0)
    assert session.receive_nowait() == "a"
    assert session.receive_nowait() is EMPTY
    assert attachment.code is None, "the downlink stands"


def test_post_waits_for_a_renewal(session: ServerSession) -> None:
    """REN-1: the frames before it are handled first, then the rest."""
    attached(session)
    post = Post(HEADER, [Ping(id=1), Renew(credentials="c"), Ping(id=2)], session)
    assert post.take(0.0) == Renew(credentials="c")
    post.reattach()
    assert post.take(0.0) is None
    assert not post.has_data
    assert post.answer()[1:] == [encode_control(Pong(id=id_)) for id_ in (1, 2)]


def test_post_whose_downlink_ends_says_so(session: ServerSession) -> None:
    """SND-2: before the renewal has ended, and before the answer is written."""
    attachment = attached(session)
    post = Post(HEADER, [Renew(credentials="c"), Data(1, 0, ["a"], 3)], session)
    post.take(0.0)
    session.attachments.detach(attachment)
    post.reattach()
    assert post.attachment is None
    assert post.take(0.0) is None
    assert post.has_data
    assert post.answer() == [encode_control(Ack(ack=0, received=1, sent=0, attached=False))]


def test_post_whose_downlink_fails_last_says_so(session: ServerSession) -> None:
    """SND-2."""
    attachment = attached(session)
    post = Post(HEADER, [], session)
    assert post.take(0.0) is None
    session.fail(attachment, ProtocolError(codes.UNAUTHORIZED, "gone"))
    assert post.answer() == [encode_control(Ack(ack=0, received=0, sent=0, attached=False))]


def test_post_that_resets_the_session_is_not_answered_as_taken(session: ServerSession) -> None:
    """SND-3, MRK-5."""
    attached(session)
    post = Post(HEADER, [Ack(ack=9), Data(1, 0, ["a"], 3)], session)
    with pytest.raises(ProtocolError) as caught:
        post.take(0.0)
    assert caught.value.code is codes.UNKNOWN_SESSION


@pytest.mark.parametrize(
    ("epoch", "code"),
    [({"epoch": "e1"}, codes.UNKNOWN_SESSION), ({"epoch": "e0"}, codes.WRONG_PROCESS)],
)
def test_session_that_is_not_here(
    session: ServerSession, epoch: dict[str, Any], code: Code
) -> None:
    """RES-9, EPO-1: unknown and ended sessions are answered alike."""
    frame = Send(session="s1.t", client=CLIENT, attach=1, **epoch)
    assert require_session(frame, session, epoch="e1") is session
    session.reset(ResetReason.OVERFLOW)
    for found in (None, session):
        with pytest.raises(ProtocolError) as caught:
            require_session(frame, found, epoch="e1")
        assert caught.value.code is code


def test_poll_of_another_transport_is_refused(session: ServerSession) -> None:
    """ATT-7."""
    frame = Poll(session="s1.t", client=CLIENT, attach=1, poll=1, ack=0)
    stream = attached(session)
    with pytest.raises(ProtocolError, match="not a long poll"):
        polled_attachment(frame, session)
    session.attachments.confirm(stream)
    session.attachments.detach(stream)
    with pytest.raises(ProtocolError) as caught:
        polled_attachment(frame, session)
    assert caught.value.code is codes.NOT_ATTACHED


def test_poll_finds_its_attachment() -> None:
    session = ServerSession("s2", Limits(), 0.0)
    attachment = attached(session, TransportKind.LONGPOLL)
    frame = Poll(session="s2.t", client=CLIENT, attach=1, poll=1, ack=0)
    assert polled_attachment(frame, session) is attachment
