"""Warns of a host that takes far larger WebSocket messages than the hub.

The host assembles and inflates a message before the application sees it, also from a client that
has opened nothing. So its own limit decides how much memory such a client can take.
"""

from __future__ import annotations

import sys

from transport.hosts.running import WebSocketSettings
from transport.telemetry.log import WARNING, log_event

FAR_ABOVE = 8
"""How many of our largest frames the host may accept before it is worth a warning."""


def recommended_size(frame: int) -> int:
    """Return the limit to set on a host, in bytes: a power of two.

    It leaves room above the largest frame, so that the hub can say what is wrong with one that is
    slightly too large.
    """
    return int(1 << (2 * frame - 1).bit_length())


def check_host_limits(settings: WebSocketSettings | None, frame: int) -> None:
    """Log a warning if the host's limit is far above ``frame``, the bytes of our largest frame."""
    if settings is None or settings.max_size <= FAR_ABOVE * frame:
        return
    size = recommended_size(frame)
    if "gunicorn.arbiter" in sys.modules:
        keywords = f'{{"ws_max_size": {size}, "ws_per_message_deflate": False}}'
        cure = f"in a subclass of UvicornWorker, set CONFIG_KWARGS = {keywords}"
    else:
        cure = f"start uvicorn with --ws-max-size {size} --ws-per-message-deflate false"
    log_event(
        WARNING,
        "host_limits",
        f"the server accepts WebSocket messages {settings.max_size // frame} times as large as the "
        "hub does, and stores them before the hub can refuse them"
        + (", also those that are small while compressed" if settings.compression else "")
        + f": {cure}",
        max_size=settings.max_size,
        compression="on" if settings.compression else "off",
    )
