"""`Exchange`: one HTTP request and its response, on raw ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

from starlette.types import Receive, Scope, Send

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import encode_control
from transport.protocol.frames import NDJSON, EncodedFrame, error_frame
from transport.server.adapters.ports import Entrance
from transport.server.deadlines import Deadlines
from transport.server.headers import Headers

JSON = b"application/json"

DISCARD_TIMEOUT = 2.0
"""Seconds for which the rest of a body that is too large is still read and discarded. Closing a
connection with unread bytes resets it, and the response is lost with it (RFC 9112 section 9.6)."""

_NDJSON = NDJSON.encode()
_NO_STORE = b"no-store, no-transform"
_NOSNIFF = (b"x-content-type-options", b"nosniff")


class Exchange:
    """A request whose body is read within limits, and whose response is one complete body.

    Args:
        scope, receive, send: the ASGI callables.
        limits: the limits of the body.

    Attributes:
        entrance: that serves it, once it is known.
    """

    __slots__ = (
        "_extra",
        "_limits",
        "_receive",
        "_send",
        "_unread",
        "entrance",
        "headers",
        "scope",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        limits: Limits,
    ) -> None:
        self.scope = scope
        self.headers = Headers(scope)
        self._receive = receive
        self._send = send
        self._limits = limits
        self._extra: tuple[tuple[bytes, bytes], ...] = ()
        self._unread = True
        self.entrance: Entrance | None = None

    @property
    def extra_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers of every response, for responses that are made elsewhere."""
        return ((b"cache-control", _NO_STORE), _NOSNIFF, *self._extra)

    def add_headers(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Add these headers to every response, errors included (CORS)."""
        self._extra = tuple(headers)

    async def body(self, deadlines: Deadlines) -> bytes:
        """Read the request's body (HTTP-1).

        Raises:
            ProtocolError: ``unsupported_media_type``, ``too_large``, ``timeout``. The last one also
                if the client disconnected before all of the body had arrived: middleware treats an
                application that answers nothing as a defect.
        """
        self._check_type()
        declared = self.headers.last.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > self._limits.body:
            raise self._too_large()
        try:
            with deadlines.within(self._limits.opening):
                return await self._read()
        except TimeoutError:
            raise ProtocolError(
                codes.TIMEOUT,
                f"the body did not arrive within {self._limits.opening:g} s: send it again",
            ) from None

    async def _read(self) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._unread = False
                raise ProtocolError(
                    codes.TIMEOUT, "the connection ended before the whole body had arrived"
                )
            chunk = message.get("body", b"")
            self._unread = message.get("more_body", False)
            size += len(chunk)
            if size > self._limits.body:
                raise self._too_large()
            if not self._unread:
                return chunk if not chunks else b"".join([*chunks, chunk])
            chunks.append(chunk)

    def _check_type(self) -> None:
        headers = self.headers
        if (
            headers.last.get(b"content-type") == _NDJSON
            and b"content-encoding" not in headers.last
            and headers.are_unique
        ):
            return
        types = headers.every(b"content-type")
        codings = headers.every(b"content-encoding")
        # A header that occurs twice means one list (RFC 9110 section 5.3).
        kind, _, parameters = ",".join(types).partition(";")
        charset = parameters.strip().lower().replace('"', "").replace(" ", "")
        if kind.strip().lower() != NDJSON or charset not in ("", "charset=utf-8"):
            raise ProtocolError(
                codes.UNSUPPORTED_MEDIA_TYPE,
                f"a body must be {NDJSON} in UTF-8, and Content-Type must say so",
            )
        if any(coding.strip().lower() != "identity" for coding in codings):
            raise ProtocolError(codes.UNSUPPORTED_MEDIA_TYPE, "a body must not be compressed")

    def _too_large(self) -> ProtocolError:
        return ProtocolError(
            codes.TOO_LARGE,
            f"a body must have at most {self._limits.body} bytes, which follows from the server's "
            "Limits(message=...)",
            limit="body",
        )

    async def answer(
        self,
        body: bytes,
        media_type: bytes = _NDJSON,
        *,
        status: int = 200,
        headers: Iterable[tuple[bytes, bytes]] = (),
        cache: bytes = _NO_STORE,
        linger: bool = False,
    ) -> None:
        """Send a complete response. If the client has disconnected, that is no error.

        Args:
            body: the content.
            media_type: its type.
            status: the HTTP status.
            headers: further headers.
            cache: the value of Cache-Control.
            linger: read the rest of the request before the response is marked as complete.
        """
        content = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
        if self.entrance is not None and self.entrance.is_stopping:
            headers = (*headers, *self._closing())
        start = {
            "type": "http.response.start",
            "status": status,
            "headers": [
                # RFC 9110 section 8.6: it would state the length of a body that is not sent.
                *(content if status not in (204, 304) else ()),
                (b"cache-control", cache),
                _NOSNIFF,
                *self._extra,
                *headers,
            ],
        }
        try:
            await self._send(start)
            await self._send({"type": "http.response.body", "body": body, "more_body": linger})
            if linger:
                await self._discard()
                await self._send({"type": "http.response.body", "body": b""})
        except OSError:
            return  # the client has disconnected (ASGI 2.4)

    def _closing(self) -> list[tuple[bytes, bytes]]:
        """Return the header that ends the connection; HTTP/2 has none (RFC 9113 section 8.2.2)."""
        is_first = self.scope.get("http_version", "1.1").startswith("1")
        return [(b"connection", b"close")] if is_first else []

    async def _discard(self) -> None:
        try:
            async with asyncio.timeout(DISCARD_TIMEOUT):
                while self._unread:
                    message = await self._receive()
                    self._unread = message.get("more_body", False)
        except TimeoutError:
            return  # it keeps sending: cut it off

    async def answer_frames(self, frames: list[EncodedFrame]) -> None:
        """Send frames, one per line."""
        texts = cast("list[str]", frames)  # HTTP has no binary frames
        await self.answer("\n".join([*texts, ""]).encode() if texts else b"")

    async def refuse(self, error: ProtocolError) -> None:
        """Send an error frame with its status (HTTP-2)."""
        headers: list[tuple[bytes, bytes]] = []
        if error.code in (codes.TOO_LARGE, codes.TIMEOUT):
            # The rest of the body will not be read.
            headers += self._closing()
        if error.code is codes.METHOD_NOT_ALLOWED:
            headers.append((b"allow", str(error.extra["allow"]).encode()))
            error = ProtocolError(error.code, error.message)
        if error.code is codes.UPGRADE_REQUIRED:
            headers += [(b"upgrade", b"websocket"), (b"connection", b"upgrade")]
        if isinstance(wait := error.extra.get("retry_in"), (int, float)):
            headers.append((b"retry-after", b"%d" % max(1, round(wait))))
        await self.answer(
            encode_control(error_frame(error)).encode(),
            JSON,
            status=error.code.status or 500,
            headers=headers,
            linger=error.code is codes.TOO_LARGE,
        )
