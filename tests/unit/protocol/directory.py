"""`Directory`: the sessions of the vectors' server, and which of them an ``open`` gets.

The rules are those of `transport.protocol.server.opening`. The directory only acts on its
decisions, and adds what is a process's: sessions by token and by nonce, and the store's epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from transport.codes import Code
from transport.limits import Limits
from transport.protocol.codec import encode_control
from transport.protocol.frames import (
    EncodedFrame,
    Open,
    Poll,
    Reset,
    Send,
    TransportKind,
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
    final_answer,
    resume,
)
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import Tombstone
from transport.protocol.server.uplink import require_session
from transport.stores.records import Record
from transport.stores.tokens import derive_secret, hash_secret, make_token, read_token


@dataclass
class ServerConnection:
    """The server's end of one connection: a WebSocket, a stream, or one poll."""

    transport: TransportKind
    subject: str
    attachment: Attachment | None = None
    session: ServerSession | None = None
    answer_by: float = 0.0
    """When a poll is answered at the latest."""
    out: list[EncodedFrame] = field(default_factory=list)
    """The frames to write if there is no session."""
    code: Code | None = None
    """Why the connection ended if there is no session."""
    is_outdated: bool = False
    """Whether this is a poll that a newer one has ended (POL-2)."""


class Directory:
    """Sessions by token and nonce.

    Args:
        limits: the limits of every session.
        has_inner: whether the handler is a WebSocket application (TGT-1).
        journaled: whether a store keeps the sessions.

    Attributes:
        current: the first session that began, or the one that took its place.
        sessions: records and sessions, by the session's id.
        nonces: the session that an ``open`` began, and until when the nonce is known, by subject
            and by client and nonce (OPN-3).
    """

    def __init__(self, limits: Limits, has_inner: bool = False, *, journaled: bool = False) -> None:
        self.current: ServerSession | None = None
        self.sessions: dict[str, tuple[Record, ServerSession]] = {}
        self.nonces: dict[tuple[str, str], tuple[str, float]] = {}
        self._limits = limits
        self._has_inner = has_inner
        self._journaled = journaled
        self._begun = 0
        self._restarts = 0

    @property
    def epoch(self) -> str:
        """Return the epoch of the store."""
        return f"epoch-{self._restarts + 1}"

    def restart(self) -> None:
        """Lose every session, like a process that restarts (EPO-1)."""
        self._restarts += 1
        self.sessions.clear()
        self.nonces.clear()

    def find(self, frame: Send | Poll) -> ServerSession:
        """Return the session that a request names.

        Raises:
            ProtocolError: see `require_session`.
        """
        return require_session(frame, self._look_up(frame.session)[1], epoch=self.epoch)

    def ended(self, frame: Send) -> Tombstone | None:
        """Return how the session that a POST names has ended, if it has."""
        session = self.peek(frame.session)
        return Found(session).ended

    def peek(self, token: str) -> ServerSession | None:
        """Return the session that a credential opens, None if it opens no session."""
        return self._look_up(token)[1]

    def open(self, frame: Open, connection: ServerConnection, now: float) -> None:
        """Attach a connection to the session that its ``open`` gets.

        Raises:
            ProtocolError: the ``open`` is refused.
        """
        check_supported(frame, has_inner=self._has_inner)
        reset: Reset | None = None
        match resume(frame, self._named(frame, connection.subject), epoch=self.epoch):
            case Attach(session):
                connection.attachment = attach(
                    session, frame, connection.transport, now, epoch=self.epoch
                )
                connection.session = session
                return
            case FinalAnswer() as answer:
                _answer(connection, answer)
                return
            case Refuse(error):
                raise error
            case Begin(reset):
                pass
            case Replace(session, reset):
                session.reset(reset.reason)
                store(session)
        self._begin(frame, connection, reset, now)

    def _begin(
        self, frame: Open, connection: ServerConnection, reset: Reset | None, now: float
    ) -> None:
        key = (connection.subject, f"{frame.client} {frame.nonce}")
        session_id, until = self.nonces.get(key, ("", 0.0))
        found = Found(begun=False)
        if now < until:
            found = Found(self.sessions[session_id][1])
        decision = begin(found)
        match decision:
            case Attach(session):
                pass
            case Create():
                session = self._create(key, frame, now)
            case ShowEnd(ended):
                answer = final_answer(
                    session_id,
                    ended,
                    frame,
                    self._limits,
                    epoch=self.epoch,
                    token=make_token(session_id, _secret(session_id, connection.subject, frame)),
                    reset=reset,
                )
                _answer(connection, answer)
                return
            case Refuse(error):
                raise error
            case _:
                assert_never(decision)
        if self.current is None or self.current.ending is not None:
            self.current = session
        secret = _secret(session.id, connection.subject, frame)
        connection.attachment = attach(
            session,
            frame,
            connection.transport,
            now,
            epoch=self.epoch,
            token=make_token(session.id, secret),
            reset=reset,
        )
        connection.session = session

    def _create(self, key: tuple[str, str], frame: Open, now: float) -> ServerSession:
        self._begun += 1
        session = ServerSession(f"s{self._begun}", self._limits, now)
        if self._journaled:
            session.journal()
        self.nonces[key] = (session.id, now + self._limits.nonce)
        secret = _secret(session.id, key[0], frame)
        self.sessions[session.id] = (Record(session.id, key[0], hash_secret(secret)), session)
        return session

    def _named(self, frame: Open, subject: str) -> Found | None:
        """Return what the credential of an ``open`` names, or None if this user may not use it."""
        if not isinstance(frame.session, str):
            return None
        record, session = self._look_up(frame.session)
        if record is None or record.subject != subject:
            return None
        return Found(session)

    def _look_up(self, token: str) -> tuple[Record | None, ServerSession | None]:
        credential = read_token(token)
        if credential is None:
            return None, None
        record, session = self.sessions.get(credential.id, (None, None))
        if record is None or not record.opens_to(credential):
            return None, None
        return record, session


def store(session: ServerSession) -> None:
    """Store what is new, if a store keeps the session."""
    while session.has_step or session.has_partial:
        step = session.step(force=True)
        assert step is not None
        session.stored(step)
    if session.ending is not None and not session.end_shown:
        session.show_end()


def _secret(session_id: str, subject: str, frame: Open) -> str:
    return derive_secret(b"key", session_id, subject, frame.client, frame.nonce)


def _answer(connection: ServerConnection, answer: FinalAnswer) -> None:
    connection.out += map(encode_control, answer.frames)
    connection.code = answer.code
