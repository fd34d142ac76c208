"""A client connection with the interface of the ``websockets`` package.

Code that is written for ``websockets.asyncio.client`` gains fallback and resume by importing
`connect` from here; see docs/existing-websocket.md. The exceptions are those of ``websockets``.
"""

from __future__ import annotations

from transport.client.websocket.connection import ClientConnection
from transport.client.websocket.opening import connect
from transport.client.websocket.refusals import Refused

__all__ = ("ClientConnection", "Refused", "connect")
