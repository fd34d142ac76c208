"""What the tests of a session that a store keeps share: such a session, and what it writes."""

from __future__ import annotations

from typing import Any

from tests.unit.protocol.server_core import CLIENT, LIMITS
from transport.codes import Code
from transport.limits import Limits
from transport.protocol.frames import Data
from transport.protocol.journal import Image, Step
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.session import ServerSession


def image(**fields: Any) -> Image:
    """Return a session as a store has it, opened by `CLIENT`."""
    return Image(
        **{
            "home": "aaa",
            "subject": "",
            "token": b"hash",
            "hub": "hub",
            "born": 1,
            "seen": 1,
            "run": "run-1",
            "epoch": "e1",
            "holder": CLIENT,
            **fields,
        }
    )


def restored(
    of: Image, *, trial: bool = False, limits: Limits = LIMITS, now: float = 0.0
) -> ServerSession:
    return ServerSession.restore("s1", limits, of, now, trial=trial)


def is_step_due(session: ServerSession) -> bool:
    return session.has_step


def is_force_due(session: ServerSession) -> bool:
    return session.has_partial


def is_readable(session: ServerSession) -> bool:
    return session.is_readable


def code_of(attachment: Attachment) -> Code | None:
    """Return why an attachment has ended, as far as that may be told."""
    return attachment.code


def receive(session: ServerSession, page: Attachment, *messages: str) -> None:
    frame = Data(session.incoming.received + 1, 0, list(messages), 3 * len(messages))
    session.receive(page, frame, 0.0)


def step_of(session: ServerSession, *, force: bool = False) -> Step:
    """Return the step that is due."""
    assert session.has_step or force
    step = session.step(force=force)
    assert step is not None
    return step


def store(session: ServerSession, *, force: bool = False) -> Step:
    """Store what is new, and return the step."""
    step = step_of(session, force=force)
    session.stored(step)
    return step


def written(session: ServerSession, attachment: Attachment, now: float = 10.0) -> list[str]:
    """Return what is written on a connection now."""
    frames = session.downlink.transmit(attachment, now)
    assert all(isinstance(frame, str) for frame in frames)
    return [str(frame) for frame in frames]
