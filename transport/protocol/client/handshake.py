"""`Handshake`: builds ``open`` frames, and checks the responses. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from transport import codes
from transport.errors import ProtocolError
from transport.protocol.client.link import Link
from transport.protocol.codec import encode_control
from transport.protocol.frames import VERSION, Json, Loss, Open, Opened, Target, Verdict


class Handshake:
    """The names of a client and of its current session, and the frames that carry them.

    Args:
        client: names this client instance (OPN-3).
        target: the subprotocols to offer to a WebSocket application at the channel's URL (TGT-1);
            None asks for a channel.

    Attributes:
        client, target: see above.
        token, epoch, id: the names of the current session, once it is open (OPN-6, EPO-1).
        kinds: the kinds of ``item`` that its server takes (OPN-11).
    """

    __slots__ = ("_nonce", "client", "epoch", "id", "kinds", "target", "token")

    def __init__(self, client: str, target: Sequence[str] | None = None) -> None:
        self.client = client
        self.target = target
        self.token: str | None = None
        self.epoch: str | None = None
        self.id = ""
        self.kinds: tuple[str, ...] = ()
        self._nonce: str | None = None
        """The nonce of the open that begins the next session."""

    def open_frame(
        self, attach: int, nonce: str, received: int, first_retained: int, credentials: Json
    ) -> str:
        """Return an ``open`` that asks for the current session, or for a new one by ``nonce``."""
        if self._nonce is None:
            self._nonce = nonce
        frame = Open(
            versions=[VERSION],
            client=self.client,
            nonce=self._nonce,
            attach=attach,
            received=received,
            first_retained=first_retained,
            session=UNSET if self.token is None else self.token,
            epoch=UNSET if self.epoch is None else self.epoch,
            target=UNSET if self.target is None else Target(list(self.target)),
            credentials=credentials,
        )
        return encode_control(frame)

    def session_fields(self, attach: int) -> dict[str, Any]:
        """Return the fields that identify the session in every request (SND-1, POL-1)."""
        return {
            "session": self.token,
            "client": self.client,
            "attach": attach,
            "epoch": self.epoch,
        }

    def accepts(self, link: Link, frame: Opened) -> bool:
        """Return whether ``frame`` opens the session that ``link`` asked for.

        Of two opens that race, one may reach a server that does not know of the other, and so begin
        another session (OPN-4).

        Raises:
            ProtocolError: ``frame`` answers another open.
        """
        resumed = frame.verdict is Verdict.RESUMED
        reset = isinstance(frame.reset, Loss)
        fits = link.resuming if resumed else isinstance(frame.session, str)
        if (
            (frame.attach, frame.client) != (link.attach, self.client)
            or not fits
            or (link.resuming and not resumed and not reset)
        ):
            raise ProtocolError(codes.BAD_FRAME, "this answers another open")
        return self.token is None or reset or frame.id == self.id

    def adopt(self, frame: Opened) -> None:
        """Store the session's token, id and epoch from ``frame``.

        They are valid from now on, even before the attach is confirmed: what follows on a link that
        ends before its confirmation belongs to this session too. A later session needs a new nonce
        (OPN-3).
        """
        if self.token is None:
            self.token = frame.session if isinstance(frame.session, str) else None
            self.id = frame.id
            self._nonce = None
        self.epoch = frame.epoch
        self.kinds = tuple(frame.kinds) if isinstance(frame.kinds, list) else ()

    def reset(self, *, opened: bool) -> None:
        """Forget the session.

        Args:
            opened: whether its successor is already open, under the same nonce.
        """
        self.token = self.epoch = None
        if not opened:
            self._nonce = None
