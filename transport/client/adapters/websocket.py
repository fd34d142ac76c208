"""WebSocket: frames as messages (PROTOCOL.md section 7)."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import (
    ConnectionClosed,
    InvalidProxyStatus,
    InvalidStatus,
    WebSocketException,
)

from transport.client.adapters.ports import Wiring
from transport.client.adapters.post import retry_after
from transport.client.adapters.websocket_connect import WebSocketConnect
from transport.client.diagnosis import describe_error, describe_refusal
from transport.client.urls import is_secure, locate
from transport.limits import MAX_FRAME_SIZE
from transport.protocol.client.events import Answer, ConnectionLost, FrameReceived, Output, Request
from transport.protocol.frames import EncodedFrame
from transport.waiting import resolve

CLOSE_TIMEOUT = 1.0
"""Seconds for the closing handshake of the WebSocket, on which nothing depends (CLS-7)."""


class _Discreet(logging.LoggerAdapter[logging.Logger]):
    """Suppresses debug logging, where websockets would log frames and, with them, credentials."""

    def isEnabledFor(self, level: int) -> bool:
        return level > logging.DEBUG and super().isEnabledFor(level)


class WebSocketAdapter:
    """Sends and receives text frames as frames, binary frames as bytes (WS-1)."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._waiting: deque[EncodedFrame] = deque()
        """Frames to write, bounded by the window of the session."""
        self._waker: asyncio.Future[None] | None = None
        self._finishing = False
        wiring.spawn(self._run)

    def send(self, output: Output) -> None:
        self._waiting.extend(output.frames)
        resolve(self._waker)

    def finish(self) -> None:
        self._finishing = True
        resolve(self._waker)

    async def _run(self) -> None:
        try:
            socket = await self._connect()
        except InvalidStatus as error:
            response = error.response
            text = bytes(response.body or b"").decode(errors="replace")
            retry_in = retry_after(response.headers.get("Retry-After"))
            self._wiring.report(Answer(Request.OPEN, response.status_code, text, retry_in))
            return
        except InvalidProxyStatus as error:
            self._wiring.report(ConnectionLost(describe_refusal(str(error.response.status_code))))
            return
        except (OSError, TimeoutError, EOFError, WebSocketException) as error:
            reason = describe_error(error, self._wiring.destination.proxy)
            self._wiring.report(ConnectionLost(reason))
            return
        self._wiring.spawn(self._write, socket)
        try:
            lost = await self._read(socket)
        finally:
            # However it ended, no connection is left behind; a closed one is not affected.
            socket.transport.abort()
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
                await socket.wait_closed()
        self._wiring.report(lost)

    async def _connect(self) -> ClientConnection:
        destination = self._wiring.destination
        tls, proxy = destination.tls, destination.proxy
        # Without a proxy that has TLS, websockets does not take this argument, not even as None.
        has_tls = proxy is not None and is_secure(proxy)
        proxy_options: dict[str, Any] = {"proxy_ssl": tls} if has_tls else {}
        return await WebSocketConnect(
            locate(destination.url, "websocket", websocket=True),
            additional_headers=dict(destination.headers),
            ssl=tls if is_secure(destination.url) else None,
            proxy=proxy,
            **proxy_options,
            # Frames are small and many: compression costs more time and memory than it saves.
            compression=None,
            logger=_Discreet(logging.getLogger("websockets.client"), {}),
            # The session has its own heartbeats (LIV-4), and the connector limits the attempt.
            ping_interval=None,
            open_timeout=None,
            close_timeout=CLOSE_TIMEOUT,
            max_size=MAX_FRAME_SIZE,
        )

    async def _read(self, socket: ClientConnection) -> ConnectionLost:
        report = self._wiring.report
        try:
            while True:
                report(FrameReceived(await socket.recv()))
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else 1006
            return ConnectionLost(f"closed with {code}", code)

    async def _write(self, socket: ClientConnection) -> None:
        """The only sender on this connection."""
        waiting = self._waiting
        try:
            while True:
                while waiting:
                    await socket.send(waiting.popleft())
                if self._finishing:
                    await socket.close()
                    return
                self._waker = asyncio.get_running_loop().create_future()
                await self._waker
        except ConnectionClosed:
            return  # `_read` reports it
