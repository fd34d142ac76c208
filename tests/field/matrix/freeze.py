"""An addon of mitmproxy that inspects WebSockets: it accepts the upgrade but blocks all frames."""

from __future__ import annotations

from typing import Any


def websocket_message(flow: Any) -> None:
    flow.websocket.messages[-1].drop()
