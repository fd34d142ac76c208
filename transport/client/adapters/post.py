"""POST requests, which server-sent events and long poll are made of (HTTP-1, SND-1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import anyio
import httpx

from transport.client.adapters.ports import Wiring
from transport.client.destination import Destination
from transport.client.diagnosis import describe_error, describe_refusal
from transport.client.urls import is_secure, locate
from transport.limits import MAX_FRAME_SIZE
from transport.protocol.client.events import Answer, ConnectionLost, Output, Request
from transport.protocol.frames import NDJSON

Read = Callable[[httpx.Response], Awaitable[None]]


def http_client(destination: Destination) -> httpx.AsyncClient:
    """Return an HTTP client for the requests of one connection."""
    tls, proxy = destination.tls, destination.proxy
    return httpx.AsyncClient(
        verify=tls or False,
        proxy=proxy and httpx.Proxy(proxy, ssl_context=tls if is_secure(proxy) else None),
        trust_env=False,  # `choose_proxy` has read it
        timeout=None,  # the core and the driver limit the time of each request
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=4),
    )


class RequestFailed(Exception):
    """The request was cut, or its answer cannot be read. The text is the reason."""


@contextmanager
def network(destination: Destination) -> Iterator[None]:
    """Raise `RequestFailed` for the errors of the network and of an unreadable answer.

    To be used around nothing else: an error of this package must not pass for one of these.
    """
    try:
        yield
    except httpx.ProxyError as error:
        raise RequestFailed(describe_refusal(str(error)[:3])) from error
    except (httpx.HTTPError, httpx.StreamError, OSError, ValueError) as error:
        raise RequestFailed(describe_error(error, destination.proxy)) from error


async def exchange(wiring: Wiring, segment: str, output: Output, read: Read | None = None) -> None:
    """POST the lines of ``output`` and report the answer, or its absence.

    Args:
        wiring: the connection.
        segment: the last segment of the URL.
        output: the request.
        read: called with the response if its status is 200, instead of reading it whole; the
            report then only says that it has ended.
    """
    assert output.request is not None
    destination, client = wiring.destination, wiring.http()
    status, text, retry_in = 0, "", 0.0
    try:
        with network(destination):
            request = client.build_request(
                "POST",
                locate(destination.url, segment),
                content="\n".join(map(str, output.frames)).encode(),
                headers={
                    **destination.headers,
                    "content-type": NDJSON,
                    "accept": NDJSON if read is None else "text/event-stream",
                },
            )
            response = await client.send(request, stream=True)
        try:
            if read is not None and response.status_code == 200:
                status = 200
                await read(response)
            else:
                with network(destination):
                    text = await _whole(response)
                status = response.status_code
                if status != 200:
                    retry_in = retry_after(response.headers.get("retry-after"))
        finally:
            with network(destination):
                await response.aclose()
    except RequestFailed as failed:
        if output.request is Request.OPEN and not status:
            wiring.report(ConnectionLost(str(failed)))
            return
    wiring.report(Answer(output.request, status, text, retry_in))


def retry_after(value: str | None) -> float:
    """Return the seconds that a ``Retry-After`` header asks for; 0 if it is absent or a date."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else 0.0


async def post(wiring: Wiring, output: Output) -> None:
    """POST to ``send``. It may outlive its connection, as the server takes it all the same."""
    with anyio.move_on_after(wiring.timeout) as scope:
        await exchange(wiring, "send", output)
    if scope.cancelled_caught:
        wiring.report(Answer(Request.POST, 0))


async def _whole(response: httpx.Response) -> str:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MAX_FRAME_SIZE:
            raise ValueError("the answer is too large")
    return body.decode("utf-8")
