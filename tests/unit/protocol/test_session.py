"""The server's half of a session: what drivers rely on, beyond what the vectors show."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.protocol.server_core import CLIENT, LIMITS, attached, close, opening
from transport import codes
from transport.errors import ChannelClosed, LocalProtocolError, ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Oversized, encode_control
from transport.protocol.frames import (
    Ack,
    Close,
    Data,
    Leave,
    Ping,
    Poll,
    Pong,
    Renew,
    RenewRequest,
    ResetReason,
    Send,
    Skip,
    TransportKind,
    error_frame,
    reset_without_marks,
)
from transport.protocol.server.counters import Counters, counters_of
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.opening import attach
from transport.protocol.server.session import ServerSession
from transport.protocol.server.uplink import begin_poll
from transport.protocol.states import AttachmentState, SessionState


@pytest.fixture
def session() -> ServerSession:
    return ServerSession("s1", LIMITS, 0.0)


def test_transport_is_of_the_newest_attachment(session: ServerSession) -> None:
    """The confirmed attach takes precedence over newer ones that are only provisional."""
    transports = [session.attachments.transport]
    first = attached(session)
    transports.append(session.attachments.transport)
    attached(session, 2, TransportKind.SSE)
    transports.append(session.attachments.transport)
    session.attachments.confirm(first)
    transports.append(session.attachments.transport)
    assert transports == [None, TransportKind.WEBSOCKET, TransportKind.SSE, TransportKind.WEBSOCKET]
    assert len(session.attachments.live) == 2


def test_ended_session_keeps_no_messages(session: ServerSession) -> None:
    """Its tombstone needs only the marks; its connections may take a while to end."""
    session.send('"x"')
    session.receive(attached(session), Data(1, 0, ["a"], 3), 0.0)
    session.reset(ResetReason.SHUTDOWN)
    assert session.outgoing.size == 0
    assert session.tombstone().reset_for(0).lost == [1, 1]


def test_ack_deadline(session: ServerSession) -> None:
    """MRK-6: the driver can ask when a standalone ack is due, and that none is."""
    attachment = attached(session, transport=TransportKind.LONGPOLL)
    assert session.downlink.ack_deadline(attachment) is None
    session.receive(attachment, Data(1, 0, ["a"]), 0.0)
    session.receive_nowait()
    session.receive_nowait()
    assert not session.downlink.is_due(attachment, 5.0)
    assert session.downlink.ack_deadline(attachment) == 5.0 + LIMITS.ack_delay
    assert session.downlink.is_due(attachment, 5.2)
    session.downlink.transmit(attachment, 5.2)
    assert session.downlink.ack_deadline(attachment) is None


@pytest.mark.parametrize("transport", list(TransportKind))
def test_due_is_what_is_transmitted(session: ServerSession, transport: TransportKind) -> None:
    """Otherwise a driver would spin; even if a message was acknowledged before it was written."""
    slow, quick = attached(session, 1, transport), attached(session, 2)
    for now in (1.0, 2.0):
        session.downlink.transmit(slow, now)
    session.send('"x"')
    session.downlink.transmit(quick, 3.0)
    session.receive(None, Ack(ack=1), 3.0)
    assert not session.downlink.is_due(slow, 3.0)
    assert session.downlink.transmit(slow, 3.0) == []
    session.send('"y"')
    assert session.downlink.is_due(slow, 3.0)
    assert session.downlink.transmit(slow, 3.0) == ['[2,0,"y"]']
    assert not session.downlink.is_due(slow, 3.0)


def test_an_attach_that_has_ended_is_due_once_more(session: ServerSession) -> None:
    """So a waiting driver is woken to close it."""
    attachment = attached(session)
    session.drain(5.0)
    assert session.downlink.is_due(attachment, 0.0)
    assert len(session.downlink.transmit(attachment, 0.0)) == 1
    assert session.downlink.transmit(attachment, 0.0) == []
    session.attachments.detach(attachment)
    assert attachment.state is AttachmentState.ENDED


def test_a_frame_on_an_ended_attach_changes_nothing(session: ServerSession) -> None:
    """A superseded client neither sends nor keeps the session alive (LIV-3)."""
    old = attached(session)
    new = attached(session, 2)
    session.attachments.confirm(new)
    assert session.receive(old, Data(1, 0, ["x"]), 100.0) == []
    assert session.receive(old, Ping(), 100.0) == []
    assert session.receive_nowait() is EMPTY
    session.tick(LIMITS.ttl)
    assert session.state is SessionState.CLOSED


def test_frames_after_the_end(session: ServerSession) -> None:
    """The rest of a POST that ended the session raises nothing, whatever it contains."""
    attachment = attached(session)
    session.receive(attachment, Ack(ack=7), 0.0)
    assert session.state is SessionState.CLOSED
    for frame in (Data(9, 9, ["x"]), Skip(number=9, ack=9), Ack(ack=9), close(0, 9), Pong()):
        assert session.receive(None, frame, 0.0) == []
    session.tick(1e9)
    session.drain(5.0)
    assert session.downlink.answer_post(attachment).attached is False


def test_an_over_long_message_that_comes_with_the_last_ack(session: ServerSession) -> None:
    attachment = attached(session)
    session.send('"bye"')
    session.downlink.transmit(attachment, 0.0)
    session.close(1000, "", "app", 0.0)
    assert session.receive(attachment, Oversized(Data(1, 1, []), 1), 0.0) == []
    assert session.state is SessionState.CLOSED


@pytest.mark.parametrize(
    "frame",
    [
        opening(),
        Renew(credentials=None),
        Send(session="t", client=CLIENT, attach=1),
        Poll(session="t", client=CLIENT, attach=1, poll=1, ack=0),
    ],
)
def test_frames_that_are_not_for_a_session(session: ServerSession, frame: Any) -> None:
    with pytest.raises(ProtocolError, match="bad_frame"):
        session.receive(attached(session), frame, 0.0)


def test_session_is_readable_while_a_message_waits(session: ServerSession) -> None:
    """Whether `receive_nowait` would return a message or raise."""
    attachment = attached(session)
    news = [session.is_readable]
    session.receive(attachment, Data(1, 0, ["a"]), 0.0)
    news.append(session.is_readable)
    assert session.receive_nowait() == "a"
    news.append(session.is_readable)
    session.receive(attachment, close(2), 0.0)
    news.append(session.is_readable)
    session.receive(attachment, Skip(number=2, ack=0), 0.0)
    news.append(session.is_readable)
    assert news == [False, True, False, False, True]
    with pytest.raises(ChannelClosed, match=r"4001: why"):
        session.receive_nowait()
    assert session.peer_close == close(2)
    session.close(1000, "", "app", 0.0)
    assert session.is_readable


def test_a_handler_may_send_after_its_client_closed(session: ServerSession) -> None:
    """CLS-2."""
    session.receive(attached(session), close(), 0.0)
    assert session.send('"last"') == 1


def test_nothing_is_sent_or_taken_after_a_close(session: ServerSession) -> None:
    session.close(4000, "enough", "app", 0.0)
    with pytest.raises(ChannelClosed) as caught:
        session.send('"x"')
    assert (caught.value.code, caught.value.reason) == (4000, "enough")
    with pytest.raises(ChannelClosed):
        session.receive_nowait()


def test_the_error_of_a_closing_session(session: ServerSession) -> None:
    with pytest.raises(LocalProtocolError):
        session.closed_error()
    session.send('"x"')
    session.close(4000, "ours", "app", 0.0)
    assert session.closed_error().code == 4000
    session.receive(attached(session), close(), 0.0)
    assert session.closed_error().code == 4001


def test_a_second_close_changes_nothing(session: ServerSession) -> None:
    """The marks least of all: the fate of the message that failed stays unknown (CLS-3)."""
    session.receive(attached(session), Data(1, 0, ["a"]), 0.0)
    session.receive_nowait()
    session.close(1011, "", "protocol", 0.0, failed=True)
    with pytest.raises(LocalProtocolError):
        session.close(1000, "", "app", 0.0)
    assert session.incoming.handled == 0
    assert session.ending is not None
    assert session.ending.close == Close(
        code=1011, reason="", by="protocol", last=0, ack=0, in_hand=1
    )


def test_a_close_that_cannot_be_written(session: ServerSession) -> None:
    """CLS-1."""
    with pytest.raises(ValueError, match="close code"):
        session.close(1005, "", "app", 0.0)
    with pytest.raises(ValueError, match="123 bytes"):
        session.close(1000, "ü" * 62, "app", 0.0)
    assert session.state is SessionState.OPEN


def test_tombstone(session: ServerSession) -> None:
    with pytest.raises(LocalProtocolError):
        session.tombstone()
    session.send('"x"')
    session.reset(ResetReason.SHUTDOWN)
    assert session.tombstone().reset_for(0).lost == [1, 1]
    assert session.tombstone().reset_for(1).lost == []
    with pytest.raises(LocalProtocolError):
        session.reset(ResetReason.SHUTDOWN)
    assert session.tombstone().ending.reset is ResetReason.SHUTDOWN


def test_the_marks_of_an_old_session_are_not_those_of_the_new(session: ServerSession) -> None:
    """RES-2: the `open` that was answered by a reset named the old one."""
    session.send('"first"')
    reset = reset_without_marks(ResetReason.UNKNOWN)
    attachment = attach(
        session,
        opening(7, received=40),
        TransportKind.WEBSOCKET,
        0.0,
        epoch="e1",
        token="t",
        reset=reset,
    )
    assert session.downlink.transmit(attachment, 0.0)[1:] == ['[1,0,"first"]']


def test_statistics_of_replays(session: ServerSession) -> None:
    attached(session)
    session.send('"a"')
    for number in (2, 3):
        attached(session, number)
    assert session.downlink.replayed == 1


def test_a_poll_whose_answer_was_lost_is_answered_by_all_of_it(session: ServerSession) -> None:
    """POL-2, MRK-3: with data, mark and close."""
    attachment = attached(session, transport=TransportKind.LONGPOLL)
    session.downlink.answer_poll(attachment, 0.0)
    session.receive(attachment, Data(1, 0, ["a"]), 0.0)
    session.receive_nowait()
    session.send('"bye"')
    session.close(1000, "", "app", 0.0)
    poll = Poll(session="t", client=CLIENT, attach=1, poll=1, ack=0)
    answers = []
    for _ in range(2):
        assert begin_poll(session, attachment, poll, 0.0)
        answers.append(session.downlink.answer_poll(attachment, 0.0))
    assert answers[0] == answers[1]
    assert len(answers[0]) == 2


def test_open_of_other_client_never_misreads_marks(
    session: ServerSession,
) -> None:
    """ATT-6, RES-7: another client sent number 1, so its mark says nothing about this one's."""
    first = attached(session)
    session.attachments.confirm(first)
    session.receive(first, Data(1, 0, ["mine"], 6), 0.0)
    newcomer = opening(2, client="another-0123456789")
    refused = session.attachments.refusal(newcomer, peer_closed=False)
    assert refused is not None
    assert (refused.reason, refused.handled) == (ResetReason.FOREIGN, None)
    assert session.state is SessionState.OPEN
    assert session.attachments.live == [first]


def test_a_poll_that_is_gone_is_not_answered() -> None:
    """POL-3."""
    session = ServerSession("s1", LIMITS, 0.0)
    attachment = attached(session, transport=TransportKind.LONGPOLL)
    session.downlink.end_poll(attachment)
    session.send('"a"')
    assert not session.downlink.is_due(attachment, 0.0)
    assert session.downlink.transmit(attachment, 0.0) == []


def test_failed_attachment_writes_its_error_once(session: ServerSession) -> None:
    attachment = attached(session)
    error = ProtocolError(codes.BAD_FRAME, "not a frame")
    session.fail(attachment, error)
    session.fail(attachment, ProtocolError(codes.GAP, "too late"))
    session.attachments.detach(attachment)
    assert attachment.state is AttachmentState.ENDED
    assert attachment.code is codes.BAD_FRAME
    assert session.downlink.transmit(attachment, 0.0) == [encode_control(error_frame(error))]
    assert session.attachments.live == []
    assert session.ending is None


def test_lost_attachment_is_not_attached(session: ServerSession) -> None:
    attachment = attached(session)
    session.attachments.detach(attachment)
    assert attachment.code is codes.NOT_ATTACHED
    assert session.downlink.transmit(attachment, 0.0) == []


def test_renewal_is_asked_on_every_attachment(session: ServerSession) -> None:
    """REN-1."""
    attachments = [attached(session, 1), attached(session, 2)]
    session.ask_renewal(5.0)
    asked = encode_control(RenewRequest(within=5.0))
    assert [session.downlink.transmit(one, 0.0) for one in attachments] == [[asked], [asked]]


def test_replies_are_written_in_order(session: ServerSession) -> None:
    attachment = attached(session)
    session.reply(attachment, [Pong(id=1), Pong(id=2)])
    assert session.downlink.transmit(attachment, 0.0) == [
        encode_control(Pong(id=n)) for n in (1, 2)
    ]


def test_counters_count_both_directions(session: ServerSession) -> None:
    attachment = attached(session)
    for message in ('"a"', '"bc"'):
        session.send(message)
    session.downlink.transmit(attachment, 0.0)
    session.receive(attachment, Data(1, 1, ["x", "y"], size=6), 0.0)
    session.receive_nowait()
    session.receive_nowait()
    assert counters_of(session) == Counters(
        sent=2,
        acknowledged=1,
        buffered_bytes=4,
        received=2,
        handled=1,
        replayed=0,
        transports=(TransportKind.WEBSOCKET,),
    )


def test_client_that_leaves_is_gone_until_its_next_frame(session: ServerSession) -> None:
    """LIV-6: also if that frame comes at the same instant, or ``away`` is no shorter than `ttl`."""
    attachment = attached(session)
    session.receive(attachment, Ack(ack=0), 1.0)
    for limits in (LIMITS, Limits(away=LIMITS.ttl)):
        session.limits = limits
        seen = []
        for frame in (Ack(ack=0), Leave(), Pong()):
            session.receive(attachment, frame, 1.0)
            seen.append(session.has_left)
        assert seen == [False, True, False]


def test_leave_of_client_without_session_changes_nothing(session: ServerSession) -> None:
    """LIV-6, ATT-6."""
    attached(session)
    copy = attached(session, 2, client="other-client-0123")
    session.receive(copy, Leave(), 1.0)
    assert not session.has_left


def test_overflow_after_another_end_is_not_counted(session: ServerSession) -> None:
    session.reset(ResetReason.SHUTDOWN)
    session.overflow()
    assert session.dropped == 0


def test_sign_of_life_is_that_of_the_last_frame(session: ServerSession) -> None:
    """LIV-3."""
    attachment = attached(session)
    session.receive(attachment, Pong(), 7.0)
    assert session.received_at == 7.0
