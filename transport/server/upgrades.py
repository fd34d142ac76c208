"""Explains why a request for the WebSocket's URL was not a WebSocket (WS-3)."""

from __future__ import annotations

from transport import codes
from transport.errors import ProtocolError
from transport.server.headers import Headers
from transport.telemetry.log import WARNING, log_event


class UpgradeExplainer:
    """Tells a proxy that strips the handshake from a host that serves no WebSocket.

    uvicorn without a WebSocket library passes the whole handshake on as a plain request. It warns
    too, but not of what follows: every page falls back to a slower transport.
    """

    def __init__(self) -> None:
        self._has_logged = False

    def refusal(self, headers: Headers) -> ProtocolError:
        """Return ``upgrade_required`` with the likely cause. Log once if it is the host."""
        if not _is_handshake(headers):
            return ProtocolError(
                codes.UPGRADE_REQUIRED,
                "this URL only accepts WebSocket upgrades, and the request was not one: "
                "a proxy on the way may have stripped it",
            )
        if not self._has_logged:
            self._has_logged = True
            log_event(
                WARNING,
                "websocket_unavailable",
                "a WebSocket handshake arrived as a plain request, so the server serves no "
                "WebSocket, and every page uses a slower transport: for uvicorn, install "
                "uvicorn[standard], or websockets or wsproto, and do not pass --ws none",
            )
        return ProtocolError(
            codes.UPGRADE_REQUIRED,
            "the server serves no WebSocket: its log says what to install",
        )


def _is_handshake(headers: Headers) -> bool:
    """Return whether these are the headers of a WebSocket handshake (RFC 6455 section 4.1)."""
    options = ",".join(headers.every(b"connection")).lower().split(",")
    return (
        "upgrade" in [option.strip() for option in options]
        and (headers.first(b"upgrade") or "").strip().lower() == "websocket"
        and b"sec-websocket-key" in headers
    )
