"""The bare callable's WebSocket as a handler of this project: the same code, by `as_websocket`."""

from __future__ import annotations

from benchmarks.servers import bare
from benchmarks.servers.onechannel import LIMITS
from transport import Hub, as_websocket

echo = Hub(as_websocket(bare.echo), limits=LIMITS)
lobby = Hub(as_websocket(bare.lobby), limits=LIMITS)
