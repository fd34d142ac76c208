"""An addon of mitmproxy: what inspects WebSockets, and lets the upgrade pass but no frame."""

from __future__ import annotations

from typing import Any


def websocket_message(flow: Any) -> None:
    flow.websocket.messages[-1].drop()
