"""What the tests of the server's half of a session share: its clients' frames and attachments."""

from __future__ import annotations

from typing import Any

from transport.limits import Limits
from transport.protocol.frames import Close, Open, TransportKind
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.opening import attach
from transport.protocol.server.session import ServerSession

CLIENT = "client-0123456789"
LIMITS = Limits()


def opening(attach: int = 1, received: int = 0, client: str = CLIENT) -> Open:
    return Open(
        versions=[1],
        client=client,
        nonce="n" * 22,
        attach=attach,
        received=received,
        first_retained=1,
    )


def attached(
    session: ServerSession,
    number: int = 1,
    transport: TransportKind = TransportKind.WEBSOCKET,
    **more: Any,
) -> Attachment:
    """Return an attachment whose `opened` was written."""
    token = "t" if number == 1 else None
    attachment = attach(session, opening(number, **more), transport, 0.0, epoch="e1", token=token)
    session.downlink.transmit(attachment, 0.0)
    return attachment


def close(last: int = 0, ack: int = 0) -> Close:
    return Close(code=4001, reason="why", by="app", last=last, ack=ack)
