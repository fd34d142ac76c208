"""`ForwardProxy`: a forward proxy for clients, as a company's network has one.

It opens tunnels (CONNECT), and forwards requests whose target is a whole URL. If it cannot reach
the server of a tunnel, it resets the connection.

    async with ForwardProxy(credentials="ann:secret") as proxy:
        ...  # connect by way of http://ann:secret@127.0.0.1:{proxy.port}
        assert proxy.targets("CONNECT") == {"127.0.0.1:8443"}
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from contextlib import suppress
from dataclasses import replace
from typing import Self
from urllib.parse import urlsplit

import h11

from tests.support.faults.http_peers import Client, Request, Upstream, pump
from tests.support.faults.tcp_link import reset


class ForwardProxy:
    """A proxy that listens on a free port of loopback.

    Args:
        credentials: "user:password" that each request must have; None if anyone may use it.
        refusal: the status with which every request is refused; 0 if they are served.
        tls: the settings of TLS between the client and the proxy, if it is used there.

    Attributes:
        port: the port of the proxy, once entered.
        requests: the requests received, in order, the refused ones too.
    """

    def __init__(
        self, *, credentials: str | None = None, refusal: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.port = 0
        self.requests: list[h11.Request] = []
        self._credentials = credentials
        self._refusal = refusal
        self._tls = tls
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def url(self) -> str:
        """The proxy's URL, without credentials."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def targets(self, *methods: str) -> set[str]:
        """Return the targets of the requests with one of these methods."""
        chosen = {method.encode() for method in methods}
        return {one.target.decode() for one in self.requests if one.method in chosen}

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Client(reader, writer)
        try:
            with suppress(OSError, h11.RemoteProtocolError, h11.LocalProtocolError):
                while (request := await client.request()) is not None:
                    self.requests.append(request.head)
                    if status := self._refuses(request.head):
                        await _refuse(client, status)
                    elif request.head.method == b"CONNECT":
                        await _tunnel(client, request.head.target.decode())
                        return
                    elif await client.disconnected_before(_forward(client, request)):
                        return
                    if not client.may_continue():
                        return
        finally:
            client.transport.abort()

    def _refuses(self, head: h11.Request) -> int:
        """Return the status of the refusal, 0 if the request is served."""
        if self._credentials is not None:
            wanted = b"Basic " + base64.b64encode(self._credentials.encode())
            if dict(head.headers).get(b"proxy-authorization") != wanted:
                return 407
        return self._refusal


async def _refuse(client: Client, status: int) -> None:
    headers = [("Content-Length", "0"), ("Connection", "close")]
    if status == 407:
        headers.append(("Proxy-Authenticate", 'Basic realm="the proxy"'))
    await client.answer(h11.Response(status_code=status, headers=headers))
    await client.answer(h11.EndOfMessage())


async def _tunnel(client: Client, target: str) -> None:
    host, _, port = target.rpartition(":")
    try:
        upstream = Upstream(*await asyncio.open_connection(host, int(port)))
    except OSError:
        reset(client.transport)
        return
    try:
        await client.answer(h11.Response(status_code=200, headers=[]))
        both = {
            asyncio.create_task(pump(client, upstream)),
            asyncio.create_task(_copy(upstream, client)),
        }
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in both:
                one.cancel()
            await asyncio.wait(both)
    finally:
        upstream.transport.abort()


async def _copy(source: Upstream, target: Client) -> None:
    with suppress(OSError):
        while data := await source.reader.read(64 * 1024):
            target.writer.write(data)
            await target.writer.drain()


async def _forward(client: Client, request: Request) -> None:
    url = urlsplit(request.head.target.decode())
    assert url.hostname is not None, "the target is not a URL"
    path = url.path + (f"?{url.query}" if url.query else "")
    head = h11.Request(method=request.head.method, target=path, headers=request.head.headers)
    upstream = Upstream(*await asyncio.open_connection(url.hostname, url.port or 80))
    try:
        upstream.ask(replace(request, head=head))
        async for event in upstream.answer():
            await client.answer(event)
    finally:
        upstream.transport.abort()
