"""`WebSocketConnect`: `connect` of websockets, as this package needs it."""

from __future__ import annotations

import asyncio

from websockets.asyncio.client import ClientConnection, HTTPProxyConnection, connect


class WebSocketConnect(connect):
    """Follows no redirect, as httpx does not: another server must not get the credentials.

    And reads what a proxy answers to an attempt that is cancelled. websockets 17 leaves that unread
    in a future if it is cancelled as it connects, which asyncio reports. (Earlier versions do not
    call `open_tcp_connection`.)
    """

    def process_redirect(self, exc: Exception) -> Exception:
        return exc

    async def open_tcp_connection(self) -> ClientConnection:
        """Connect, and open a tunnel if there is a proxy, whose URL is then a str."""
        from websockets.proxy import parse_proxy  # earlier versions lack it

        if not isinstance(self.proxy, str):
            return await super().open_tcp_connection()
        loop, proxy = asyncio.get_running_loop(), parse_proxy(self.proxy)
        options = self.create_connection_kwargs
        transport, tunnel = await loop.create_connection(
            lambda: _Tunnel(self.ws_uri, proxy, self.user_agent_header),
            proxy.host,
            proxy.port,
            ssl=options.get("proxy_ssl"),
        )
        try:
            await tunnel.response
        except BaseException:
            transport.abort()
            raise
        connection = self.factory(self.ws_uri)
        transport.set_protocol(connection)
        if self.ws_uri.secure:
            tls, host = options["ssl"], self.ws_uri.host
            secured = await loop.start_tls(transport, connection, tls, server_hostname=host)
            assert secured is not None  # it raises if the handshake fails
            transport = secured
        connection.connection_made(transport)
        return connection


class _Tunnel(HTTPProxyConnection):
    """Reads the answer of the proxy, whether it is awaited or not."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.response.done() and not self.response.cancelled():
            self.response.exception()
