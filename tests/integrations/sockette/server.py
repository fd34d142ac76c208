"""The same endpoint as that of reconnecting-websocket."""

from tests.integrations.reconnecting_websocket.server import app as app
