"""Forward proxies, given or named by the environment: the same over every transport."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio import client as websockets_client

from tests.integration.client.kit import PACING, TRANSPORTS, apps, failures
from tests.support.servers.certificates import Authority
from tests.support.servers.forward_proxy import ForwardProxy
from tests.support.servers.uvicorn import Server, free_port, serving
from transport import Unreachable, connect
from transport.client import Channel

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "WS_PROXY", "WSS_PROXY")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
async def http_server() -> AsyncIterator[Server]:
    async with apps("echo") as server:
        yield server


@pytest.fixture(scope="module")
async def https_server(authority: Authority) -> AsyncIterator[Server]:
    async with serving("tests.support.apps:echo", *authority.uvicorn()) as server:
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxies of the machine."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


async def check_echo(url: str, *transports: str, **options: Any) -> None:
    """Check that a message and its echo pass over each of ``transports``."""
    for transport in transports or TRANSPORTS:
        async with connect(url, transports=[transport], pacing=PACING, **options) as channel:
            await channel.send("by proxy")
            assert await channel.receive() == "by proxy"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_https_goes_through_tunnel(
    transport: str, authority: Authority, https_server: Server
) -> None:
    """The proxy gets its credentials, but not what is for the server."""
    target = f"127.0.0.1:{https_server.port}"
    async with ForwardProxy(credentials="ann:s3/cret") as proxy:
        await check_echo(
            f"https://{target}/chat",
            transport,
            proxy=f"http://ann:s3%2Fcret@127.0.0.1:{proxy.port}",
            verify=authority.trusting(),
            headers={"Authorization": "Bearer s3cret"},
        )
        assert {one.method for one in proxy.requests} == {b"CONNECT"}
        assert proxy.targets("CONNECT") == {target}
        assert all(b"authorization" not in dict(one.headers) for one in proxy.requests)


async def test_http_goes_through_proxy(http_server: Server) -> None:
    """WebSocket in a tunnel, other requests with their whole URL."""
    async with ForwardProxy() as proxy:
        await check_echo(f"{http_server.url}/chat", proxy=proxy.url)
        assert proxy.targets("CONNECT") == {f"127.0.0.1:{http_server.port}"}
        assert proxy.targets("POST") == {
            f"{http_server.url}/chat/{segment}" for segment in ("sse", "poll", "send")
        }


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
async def test_proxy_with_tls_is_verified(
    secure: bool, authority: Authority, http_server: Server, https_server: Server
) -> None:
    url = f"https://127.0.0.1:{https_server.port}" if secure else http_server.url
    async with ForwardProxy(tls=authority.serving()) as proxy:
        await check_echo(f"{url}/chat", proxy=proxy.url, verify=authority.trusting())
        assert len(proxy.requests) >= len(TRANSPORTS)
        reasons = await failures(f"{url}/chat", proxy=proxy.url)
        for reason in reasons.values():
            assert reason.startswith("TLS: the server's or the proxy's certificate is signed by")


async def test_environment_names_proxy(
    authority: Authority, https_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY and `trust_env` exempt from it."""
    url, verify = f"https://127.0.0.1:{https_server.port}/chat", authority.trusting()
    async with ForwardProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        await check_echo(url, verify=verify, trust_env=False)
        monkeypatch.setenv("NO_PROXY", "example.org,127.0.0.1")
        await check_echo(url, verify=verify)
        assert not proxy.requests
        monkeypatch.setenv("NO_PROXY", "example.org")
        await check_echo(url, verify=verify)
        assert proxy.targets("CONNECT") == {f"127.0.0.1:{https_server.port}"}
        assert len(proxy.requests) >= len(TRANSPORTS)


async def check_reasons(url: str, expected: str, http: str = "", **options: Any) -> None:
    """Check that every transport fails with a reason that starts with ``expected``.

    Args:
        url: the URL of the channel.
        expected: a pattern for the reason.
        http: a pattern for the reasons of the transports that POST, if it is another.
        options: arguments of `connect`.
    """
    reasons = await failures(url, **options)
    assert list(reasons) == TRANSPORTS
    for transport, reason in reasons.items():
        assert re.match(http if http and transport != "websocket" else expected, reason), reasons


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_407_asks_for_credentials(scheme: str) -> None:
    async with ForwardProxy(credentials="ann:s3cret") as proxy:
        await check_reasons(
            f"{scheme}://127.0.0.1:1/chat",
            "HTTP 407: the proxy wants credentials, or others: .*http://user:password@host:port",
            proxy=proxy.url.replace("//", "//ann:wrong@"),
        )


async def test_refusal_of_proxy_is_told_as_its_own() -> None:
    """Not as one of the server's, which the same status might be."""
    async with ForwardProxy(refusal=403) as proxy:
        await check_reasons(
            "https://127.0.0.1:1/chat", "proxy: HTTP 403: the proxy forbids", proxy=proxy.url
        )
        await check_reasons(
            "http://127.0.0.1:1/chat",
            "proxy: HTTP 403: the proxy forbids this host or port",
            http="HTTP 403: .*or a rule of a proxy",
            proxy=proxy.url,
        )
    async with ForwardProxy(refusal=500) as proxy:  # as tinyproxy, where others answer 502
        await check_reasons(
            "https://127.0.0.1:1/chat",
            "proxy: HTTP 500: the proxy does not reach the server",
            proxy=proxy.url,
        )


async def test_absent_proxy_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("ALL_PROXY", f"ann:s3cret@127.0.0.1:{port}")
    await check_reasons(
        "https://127.0.0.1:1/chat",
        f"connection refused: no proxy listens at http://127.0.0.1:{port}: "
        r"check connect\(proxy=\.\.\.\), or the environment's",
    )


async def test_proxy_that_resets_is_told() -> None:
    """It resets, as after a mere close websockets itself fails in a callback of the loop."""
    async with ForwardProxy() as proxy:
        await check_reasons(
            f"https://127.0.0.1:{free_port()}/chat",
            "closed without an answer: the server, or a proxy on the way",
            proxy=proxy.url,
        )


async def test_attempt_cancelled_as_proxy_accepts_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """websockets, which awaits the answer a turn later, would leave its error unread."""
    reports: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    accepts = 0
    connection_made = websockets_client.HTTPProxyConnection.connection_made

    def cancel(self: Any, transport: asyncio.BaseTransport) -> None:
        nonlocal accepts
        connection_made(self, transport)
        accepts += 1
        Channel(opening._driver).reconnect()

    monkeypatch.setattr(websockets_client.HTTPProxyConnection, "connection_made", cancel)
    report = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: reports.append(context))
    try:
        async with ForwardProxy() as proxy:
            options: dict[str, Any] = {"transports": ["websocket"], "proxy": proxy.url}
            opening = connect("http://127.0.0.1:1/chat", pacing=PACING, timeout=0.3, **options)
            with pytest.raises(Unreachable):
                await opening.__aenter__()
        gc.collect()  # that is when asyncio reports it
    finally:
        loop.set_exception_handler(report)
    assert accepts > 0
    assert reports == []
