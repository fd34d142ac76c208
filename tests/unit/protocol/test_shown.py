"""Nothing is told before the store has it: neither a message nor a mark, nor an end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.protocol.server_core import CLIENT, LIMITS, attached, opening
from tests.unit.protocol.store_core import code_of, image, restored, step_of, store, written
from transport import codes
from transport.errors import ForeignAck, ProtocolError
from transport.protocol.frames import (
    Ack,
    Data,
    Ping,
    Poll,
    ResetReason,
    Send,
    TransportKind,
    reset_without_marks,
)
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.opening import (
    Begin,
    FinalAnswer,
    Found,
    Refuse,
    Replace,
    ShowEnd,
    attach,
    begin,
    resume,
)
from transport.protocol.server.session import ServerSession
from transport.protocol.server.undecided import RETRY_IN
from transport.protocol.server.uplink import Post, begin_poll, polled_attachment, require_session

COPY = "client-copy-0123456789"
SEND = Send(session="s1.t", client=CLIENT, attach=1)
POLL = Poll(session="s1.t", client=CLIENT, attach=1, poll=1, ack=0)
WEBSOCKET, SSE, LONGPOLL = TransportKind.WEBSOCKET, TransportKind.SSE, TransportKind.LONGPOLL


@pytest.fixture
def session() -> ServerSession:
    session = ServerSession("s1", LIMITS, 0.0)
    session.journal()
    return session


def handle(session: ServerSession, page: Attachment | None, *messages: str) -> None:
    """Receive messages, and let the handler finish with them."""
    frame = Data(session.incoming.received + 1, 0, list(messages), 3 * len(messages))
    session.receive(page, frame, 0.0)
    for _ in range(len(messages) + 1):
        session.receive_nowait()


def is_end_shown(session: ServerSession) -> bool:
    return session.end_shown


def answer(post: Post) -> list[Any]:
    return [json.loads(frame) for frame in post.answer()]


# Messages and marks


@pytest.mark.parametrize("transport", [WEBSOCKET, SSE])
def test_message_and_ack_are_written_once_stored(
    session: ServerSession, transport: TransportKind
) -> None:
    page = attached(session, transport=transport)
    written(session, page)
    handle(session, page, "1")
    session.send('"a"')
    step = step_of(session)
    session.send('"b"')
    assert not session.downlink.is_due(page, 10.0)
    assert written(session, page) == []
    assert session.outgoing.sent == 0
    session.stored(step)
    assert session.downlink.is_due(page, 10.0)
    assert written(session, page) == ['[1,1,"a"]']
    assert not session.downlink.is_due(page, 10.0)
    store(session)
    assert written(session, page) == ['[2,1,"b"]']


def test_ack_alone_is_written_once_stored(session: ServerSession) -> None:
    page = attached(session)
    handle(session, page, "1")
    assert not session.downlink.is_due(page, 10.0)
    store(session)
    assert written(session, page) == ['{"type":"ack","ack":1}']


def test_message_that_was_not_shown_cannot_be_acknowledged(session: ServerSession) -> None:
    """MRK-5."""
    page = attached(session)
    session.send('"a"')
    store(session)
    written(session, page)
    session.send('"b"')
    session.receive(page, Ack(ack=1), 0.0)
    with pytest.raises(ForeignAck):
        session.outgoing.check_ack(2)


def test_new_attach_is_told_what_is_stored(session: ServerSession) -> None:
    """OPN-6: `handled` and `sent` of ``opened``; `received` may be lower later (OPN-12)."""
    page = attached(session)
    handle(session, page, "1", "2")
    session.send('"a"')
    for transport, number in ((SSE, 2), (LONGPOLL, 3)):
        other = attach(session, opening(number), transport, 0.0, epoch="e1")
        opened = json.loads(written(session, other)[0])
        assert (opened["received"], opened["handled"], opened["sent"]) == (2, 0, 0)


def test_answer_of_poll_has_what_is_stored(session: ServerSession) -> None:
    page = attached(session, transport=LONGPOLL)
    begin_poll(session, page, POLL, 0.0)
    handle(session, page, "1")
    session.send('"a"')
    assert not session.downlink.is_due(page, 10.0)
    assert session.downlink.answer_poll(page, 10.0) == ['{"type":"ack","ack":0}']
    store(session)
    begin_poll(session, page, replace(POLL, poll=2), 0.0)
    assert session.downlink.answer_poll(page, 10.0) == ['[1,1,"a"]']


def test_answer_of_post_has_what_is_stored(session: ServerSession) -> None:
    """SND-2, POL-4."""
    page = attached(session, transport=LONGPOLL)
    begin_poll(session, page, POLL, 0.0)
    post = Post(replace(SEND, ack=0), [Data(1, 0, ["1"], 3)], session)
    post.take(0.0)
    post.hold_downlink()
    session.receive_nowait()
    session.send('"a"')
    session.receive_nowait()
    session.send('"b"')
    step = step_of(session)
    session.send('"c"')
    assert session.downlink.data_beside_poll(page) == []
    session.stored(step)
    marks, data = answer(post)
    assert (marks["ack"], marks["received"]) == (1, 1)
    assert data == [1, 1, "a", "b"]
    assert page.cursor == 3
    post = Post(SEND, [], session)
    post.take(0.0)
    assert answer(post)[0]["sent"] == 2


def test_reset_of_a_copy_has_what_is_stored(session: ServerSession) -> None:
    """RES-7: the session lives on."""
    page = attached(session)
    session.send('"a"')
    store(session)
    written(session, page)
    session.receive(page, Ack(ack=1), 0.0)
    handle(session, page, "1")
    session.send('"b"')
    frame = replace(opening(2, client=COPY), first_retained=2, session="s1.t")
    decision = resume(frame, Found(session), epoch="e1")
    assert isinstance(decision, Begin)
    assert decision.reset is not None
    assert (decision.reset.lost, decision.reset.handled) == ([1, 1], 0)


# Closing and ends


def test_close_is_written_once_stored(session: ServerSession) -> None:
    page = attached(session)
    session.send('"a"')
    session.close(4000, "done", "app", 0.0)
    assert not session.downlink.is_due(page, 10.0)
    store(session)
    data, last = written(session, page)
    assert data == '[1,0,"a"]'
    assert json.loads(last)["type"] == "close"


def test_reset_is_written_once_stored(session: ServerSession) -> None:
    page = attached(session)
    session.send('"a"')
    store(session)
    session.reset(ResetReason.SHUTDOWN)
    assert session.ending is not None
    assert not is_end_shown(session)
    assert not session.downlink.is_due(page, 10.0)
    assert written(session, page) == []
    assert code_of(page) is None
    assert session.receive(page, Data(1, 0, ["1"], 3), 0.0) == []
    session.show_end()
    assert is_end_shown(session)
    assert code_of(page) is codes.RESET
    assert session.downlink.is_due(page, 10.0)
    assert json.loads(written(session, page)[0])["reason"] == "shutdown"


def test_replies_are_written_until_the_end_is_stored(session: ServerSession) -> None:
    page = attached(session)
    session.reply(page, session.receive(page, Ping(), 0.0))
    session.reset(ResetReason.SHUTDOWN)
    assert written(session, page) == ['{"type":"pong"}']


@pytest.mark.parametrize("is_written", [True, False])
def test_end_of_close_is_told_once_stored(session: ServerSession, is_written: bool) -> None:
    page = attached(session)
    session.send('"a"')
    store(session)
    written(session, page)
    session.close(4000, "done", "app", 0.0)
    if is_written:
        store(session)
        assert len(written(session, page)) == 1
    session.receive(page, Ack(ack=1), 0.0)
    assert session.ending is not None
    assert written(session, page) == []
    assert code_of(page) is None
    session.show_end()
    assert code_of(page) is codes.NORMAL
    assert len(written(session, page)) == (0 if is_written else 1)


def test_session_that_lives_has_no_end_to_show(session: ServerSession) -> None:
    with pytest.raises(Exception, match="not ended"):
        session.show_end()
    assert not is_end_shown(session)


def test_open_is_refused_until_the_end_is_stored(session: ServerSession) -> None:
    attached(session)
    session.reset(ResetReason.SHUTDOWN)
    frame = replace(opening(2), session="s1.t")
    found = Found(session)
    for decision in (resume(frame, found, epoch="e1"), begin(found)):
        assert isinstance(decision, Refuse)
        assert decision.error.code is codes.UNAVAILABLE
        assert decision.error.extra["retry_in"] == RETRY_IN
    session.show_end()
    assert isinstance(resume(frame, found, epoch="e1"), Begin)
    assert isinstance(begin(found), ShowEnd)


def test_open_gets_the_close_once_it_is_stored(session: ServerSession) -> None:
    """CLS-5."""
    attached(session)
    session.close(4000, "done", "app", 0.0)
    frame = replace(opening(2), session="s1.t")
    assert isinstance(resume(frame, Found(session), epoch="e1"), Refuse)
    session.show_end()
    assert isinstance(resume(frame, Found(session), epoch="e1"), FinalAnswer)


def test_request_is_refused_until_the_end_is_stored(session: ServerSession) -> None:
    page = attached(session, transport=LONGPOLL)
    session.receive(page, Ack(ack=0), 0.0)
    post = Post(SEND, [Data(1, 0, ["1"], 3)], session)
    post.take(0.0)
    later = Post(SEND, [], session)
    session.reset(ResetReason.SHUTDOWN)
    calls: list[Callable[[], object]] = [
        post.answer,
        lambda: later.take(0.0),
        lambda: require_session(POLL, session, epoch="e1"),
    ]
    for call in calls:
        with pytest.raises(ProtocolError) as caught:
            call()
        assert caught.value.code is codes.UNAVAILABLE
    session.show_end()
    for call in calls:
        with pytest.raises(ProtocolError) as caught:
            call()
        assert caught.value.code in (codes.UNKNOWN_SESSION, codes.SUPERSEDED, codes.NOT_ATTACHED)


def test_post_that_resets_session_is_refused_until_stored(session: ServerSession) -> None:
    """MRK-5, RES-7."""
    attached(session, transport=LONGPOLL)
    with pytest.raises(ProtocolError) as caught:
        Post(replace(SEND, ack=7), [], session).take(0.0)
    assert caught.value.code is codes.UNAVAILABLE
    assert session.ending is not None


def test_fault_of_a_client_is_told_at_once(session: ServerSession) -> None:
    page = attached(session)
    session.fail(page, ProtocolError(codes.BAD_FRAME, "what"))
    assert code_of(page) is codes.BAD_FRAME


# A takeover


def taken_over(session: ServerSession) -> tuple[Attachment, Attachment]:
    """Return the attachment of the owner, and that of a copy that has taken the session."""
    page = attached(session)
    session.receive(page, Ack(ack=0), 0.0)
    copy = attached(session, 2, client=COPY)
    session.receive(copy, Ack(ack=0), 0.0)
    assert session.attachments.owner == COPY
    return page, copy


def test_takeover_is_told_once_stored(session: ServerSession) -> None:
    """ATT-3: the store could still give the session to the former owner."""
    page, copy = taken_over(session)
    assert not session.downlink.is_due(page, 10.0)
    assert code_of(page) is None
    session.send('"a"')
    step = step_of(session)
    assert (step.holder, step.confirmed) == (COPY, 2)
    assert written(session, page) == []
    assert session.receive(page, Data(1, 0, ["1"], 3), 0.0) == []
    session.stored(step)
    assert code_of(page) is codes.SUPERSEDED
    superseded = json.loads(written(session, page)[0])
    assert (superseded["attach"], superseded["client"]) == (2, COPY)
    assert written(session, copy) == ['[1,0,"a"]']


def test_takeover_makes_a_step_at_once(session: ServerSession) -> None:
    taken_over(session)
    step = step_of(session)
    assert step.payloads == ()
    assert not session.has_step


def test_owner_that_returns_makes_no_takeover(session: ServerSession) -> None:
    page = attached(session)
    session.receive(page, Ack(ack=0), 0.0)
    again = attached(session, 2)
    session.receive(again, Ack(ack=0), 0.0)
    assert code_of(page) is codes.SUPERSEDED
    assert not session.has_step


def test_request_of_former_owner_waits_for_takeover(session: ServerSession) -> None:
    """ATT-7, ATT-4: by a POST, by a poll, and by an ``open``."""
    taken_over(session)
    frame = replace(opening(1), session="s1.t")

    def codes_now() -> list[codes.Code]:
        told = []
        for call in (
            lambda: Post(SEND, [], session).take(0.0),
            lambda: polled_attachment(POLL, session),
        ):
            with pytest.raises(ProtocolError) as caught:
                call()
            told.append(caught.value.code)
        decision = resume(frame, Found(session), epoch="e1")
        assert isinstance(decision, Refuse)
        return [*told, decision.error.code]

    assert codes_now() == [codes.UNAVAILABLE] * 3
    store(session)
    assert codes_now() == [codes.SUPERSEDED] * 3


def test_post_under_way_at_takeover_is_answered(session: ServerSession) -> None:
    page = attached(session, transport=SSE)
    post = Post(SEND, [], session)
    post.take(0.0)
    copy = attached(session, 2, client=COPY)
    session.receive(copy, Ack(ack=0), 0.0)
    assert code_of(page) is None
    assert answer(post)[0]["attached"] is False


def test_connection_lost_before_takeover_is_stored(session: ServerSession) -> None:
    page, _ = taken_over(session)
    session.fail(page, ProtocolError(codes.BAD_FRAME, "what"))
    assert code_of(page) is None
    session.attachments.detach(page)
    assert code_of(page) is codes.NOT_ATTACHED
    store(session)
    assert code_of(page) is codes.NOT_ATTACHED
    session.attachments.detach(page)


def test_session_taken_back_tells_the_last_owner(session: ServerSession) -> None:
    page, copy = taken_over(session)
    step = step_of(session)
    third = attached(session, 3)
    session.receive(third, Ack(ack=0), 0.0)
    session.stored(step)
    assert code_of(page) is None
    assert code_of(copy) is None
    assert store(session).holder == CLIENT
    assert not session.has_step
    for one in (page, copy):
        assert code_of(one) is codes.SUPERSEDED
        assert json.loads(written(session, one)[-1])["attach"] == 3


def test_end_after_takeover_tells_both(session: ServerSession) -> None:
    page, copy = taken_over(session)
    session.reset(ResetReason.SHUTDOWN)
    session.show_end()
    assert code_of(page) is codes.SUPERSEDED
    assert code_of(copy) is codes.RESET


def test_restored_session_has_the_stored_owner() -> None:
    session = restored(image(holder=COPY, confirmed=2))
    page = attached(session, 3)
    session.receive(page, Ack(ack=0), 0.0)
    assert store(session).holder == CLIENT


# A store that has gone back


@pytest.mark.parametrize("client", [CLIENT, COPY])
def test_number_given_again_resets_client_of_older_epoch(client: str) -> None:
    """EPO-2, RES-5: it may have other messages under these numbers."""
    session = restored(image(last=5, acked=5, epoch="run-2", epoch_first=6))
    session.send('"six"')
    store(session)
    frame = replace(opening(2, received=6, client=client), session="s1.t", epoch="run-1")
    decision = resume(frame, Found(session), epoch="run-2")
    lost = reset_without_marks(ResetReason.STORE_LOST)
    if client == CLIENT:
        assert isinstance(decision, Replace)
        assert decision.reset == lost
    else:
        assert decision == Begin(lost)


def test_client_below_numbers_given_again_resumes() -> None:
    session = restored(image(last=5, acked=5, epoch="run-2", epoch_first=6))
    session.send('"six"')
    store(session)
    written(session, attached(session))
    for received, epoch in ((5, "run-1"), (6, "run-2")):
        frame = replace(opening(2, received=received), session="s1.t", epoch=epoch)
        assert not isinstance(resume(frame, Found(session), epoch="run-2"), Replace)
    # A superseded attach is told that first (ATT-4).
    session.receive(attached(session, 2, received=5), Ack(ack=5), 0.0)
    frame = replace(opening(2, received=6), session="s1.t", epoch="run-1")
    assert isinstance(resume(frame, Found(session), epoch="run-2"), Refuse)
