"""`resume` and `begin`: which session an ``open`` gets."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.frames import (
    Close,
    Data,
    Open,
    Reset,
    ResetReason,
    Target,
    TransportKind,
    reset_without_marks,
)
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.opening import (
    Attach,
    Begin,
    Create,
    FinalAnswer,
    Found,
    Refuse,
    Replace,
    ShowEnd,
    attach,
    begin,
    check_supported,
    resume,
)
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import Ending, Tombstone

CLIENT = "client-0123456789"
OTHER = "another-0123456789"
EPOCH = "epoch-1"
CLOSED = Close(code=4000, reason="done", by="app", last=0, ack=0)


def opening(**fields: Any) -> Open:
    """Return an ``open`` with a credential, with ``fields`` replaced."""
    given: dict[str, Any] = {
        "versions": [1],
        "client": CLIENT,
        "nonce": "n" * 22,
        "attach": 2,
        "received": 0,
        "first_retained": 1,
        "session": "s1.secret",
        "epoch": EPOCH,
    }
    return Open(**{**given, **fields})


def begun() -> tuple[ServerSession, Attachment]:
    """Return a session of `CLIENT`, confirmed under the number 1."""
    session = ServerSession("s1", Limits(), 0.0)
    attachment = attach(
        session, opening(attach=1), TransportKind.WEBSOCKET, 0.0, epoch=EPOCH, token="t"
    )
    session.downlink.transmit(attachment, 0.0)
    session.attachments.confirm(attachment)
    return session, attachment


def closed() -> ServerSession:
    """Return a session that was closed, and whose client has acknowledged everything."""
    session, _ = begun()
    session.close(4000, "done", "app", 0.0)
    return session


def test_unsupported_version_is_refused() -> None:
    """OPN-2."""
    check_supported(opening(versions=[7, 1]))
    with pytest.raises(ProtocolError) as caught:
        check_supported(opening(versions=[2]))
    assert caught.value.code is codes.UNSUPPORTED_VERSION
    assert caught.value.extra == {"versions": [1]}


def test_target_is_refused_without_inner_application() -> None:
    """TGT-1."""
    frame = msgspec.structs.replace(opening(), target=Target(subprotocols=["chat.v1"]))
    check_supported(frame, has_inner=True)
    with pytest.raises(ProtocolError) as caught:
        check_supported(frame)
    assert caught.value.code is codes.NOT_FOUND


# A session that the credential names


def test_open_without_a_credential_begins_a_session() -> None:
    frame = Open(
        versions=[1], client=CLIENT, nonce="n" * 22, attach=1, received=0, first_retained=1
    )
    assert resume(frame, None, epoch=EPOCH) == Begin(None)


def test_live_session_is_resumed() -> None:
    """RES-1."""
    session, _ = begun()
    decision = resume(opening(), Found(session), epoch=EPOCH)
    assert isinstance(decision, Attach)
    assert decision.session is session


@pytest.mark.parametrize("found", [None, Found()], ids=["not valid", "only the store knows it"])
@pytest.mark.parametrize(
    ("epoch", "reason"),
    [(EPOCH, ResetReason.UNKNOWN), ("epoch-0", ResetReason.RESTARTED)],
)
def test_unknown_session_is_reset(found: Found | None, epoch: str, reason: ResetReason) -> None:
    """RES-5, EPO-1."""
    decision = resume(opening(epoch=epoch), found, epoch=EPOCH)
    assert decision == Begin(reset_without_marks(reason))


def test_closed_session_answers_with_its_close() -> None:
    """CLS-5: both while it is in this process, and when only the store has it."""
    session = closed()
    tombstone = session.tombstone()
    for found in (Found(session), Found(None, tombstone), Found(session, tombstone)):
        decision = resume(opening(), found, epoch=EPOCH)
        close = tombstone.ending.close
        assert decision == FinalAnswer((close,), codes.NORMAL, 4000)  # type: ignore[arg-type]


def test_reset_session_answers_with_its_fate() -> None:
    """RES-2, RES-8."""
    session, _ = begun()
    session.send('"lost"')
    session.reset(ResetReason.SHUTDOWN)
    reset = Reset(reason=ResetReason.SHUTDOWN, lost=[1, 1], handled=0, in_hand=0)
    assert resume(opening(), Found(session), epoch=EPOCH) == Begin(reset)


def test_superseded_attach_is_refused_before_all_else() -> None:
    """ATT-4: even if its marks belong to another session."""
    session, _ = begun()
    decision = resume(opening(attach=1, received=40), Found(session), epoch=EPOCH)
    assert isinstance(decision, Refuse)
    assert decision.error.code is codes.SUPERSEDED


def test_session_that_its_owner_cannot_resume_is_replaced() -> None:
    """RES-5: its marks belong to another session, so it cannot resume this one."""
    session, _ = begun()
    decision = resume(opening(received=40), Found(session), epoch=EPOCH)
    assert isinstance(decision, Replace)
    assert decision.session is session
    assert decision.reset == reset_without_marks(ResetReason.FOREIGN)
    assert session.ending is None, "a decision changes nothing"


def test_session_that_another_client_cannot_take_over_lives_on() -> None:
    """ATT-6, RES-7."""
    session, attachment = begun()
    session.receive(attachment, Data(1, 0, ["taken"], 7), 0.0)
    decision = resume(opening(client=OTHER), Found(session), epoch=EPOCH)
    assert decision == Begin(reset_without_marks(ResetReason.FOREIGN))


# A session that the nonce names


def test_unused_nonce_creates_a_session() -> None:
    assert begin(Found(begun=False)) == Create()


def test_repeated_nonce_finds_the_session() -> None:
    """OPN-4: even before the store was told that it began."""
    session, _ = begun()
    for has_begun in (True, False):
        decision = begin(Found(session, begun=has_begun))
        assert isinstance(decision, Attach)
        assert decision.session is session


def test_repeated_nonce_of_an_ended_session_shows_its_end() -> None:
    """OPN-4: whether it was closed or reset, and wherever it is known."""
    tombstone = Tombstone(Ending(4000, "done", "app", CLOSED), handled=0, in_hand=0, last=0)
    assert begin(Found(None, tombstone)) == ShowEnd(tombstone)
    session, _ = begun()
    session.reset(ResetReason.OVERFLOW)
    for one in (session, closed()):
        assert begin(Found(one)) == ShowEnd(one.tombstone())


def test_repeated_nonce_of_a_forgotten_session_is_refused() -> None:
    """OPN-4: nothing more can be told of it."""
    decision = begin(Found(None, None))
    assert isinstance(decision, Refuse)
    assert decision.error.code is codes.UNAVAILABLE


def test_kinds_are_those_of_the_confirmed_attach() -> None:
    """OPN-11: of a new session those of its first ``open``."""
    session = ServerSession("s1", Limits(), 0.0)
    websocket, now = TransportKind.WEBSOCKET, 0.0
    first = attach(session, opening(kinds=["a"]), websocket, now, epoch=EPOCH, token="t")
    assert list(session.attachments.kinds) == ["a"]
    second = attach(session, opening(attach=2, kinds=["b", "c"]), websocket, now, epoch=EPOCH)
    session.attachments.confirm(first)
    assert list(session.attachments.kinds) == ["a"]
    session.attachments.confirm(second)
    assert list(session.attachments.kinds) == ["b", "c"]
    session.attachments.confirm(attach(session, opening(attach=3), websocket, now, epoch=EPOCH))
    assert list(session.attachments.kinds) == []
