"""TLS with a private authority and client certificates: the same over every transport."""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.client.kit import PACING, TRANSPORTS, failures, no_leaked_tasks
from tests.support.servers.certificates import Authority
from tests.support.servers.process import free_ports, running
from tests.support.servers.uvicorn import Server, serving
from transport import connect


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
async def open_server(authority: Authority) -> AsyncIterator[Server]:
    """A server that anyone may connect to."""
    async with serving("tests.support.apps:echo", *authority.uvicorn()) as server:
        yield server


@pytest.fixture(scope="module")
async def closed_server(authority: Authority) -> AsyncIterator[Server]:
    """A server for clients with a certificate of the authority."""
    arguments = authority.uvicorn_for_clients()
    async with serving("tests.integration.client.apps:guarded", *arguments) as server:
        yield server


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_tls_with_client_certificate_connects(
    transport: str, authority: Authority, closed_server: Server
) -> None:
    async with (
        no_leaked_tasks(),
        connect(
            f"https://127.0.0.1:{closed_server.port}/chat",
            transports=[transport],
            verify=authority.trusting(client=True),
            headers={"X-It": "ann"},
            credentials="open",
            trust_env=False,
            pacing=PACING,
        ) as channel,
    ):
        assert await channel.receive() == "hello, ann"
        await channel.send("by TLS")
        assert await channel.receive() == "by TLS"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_verify_false_accepts_any_certificate(transport: str, open_server: Server) -> None:
    url = f"https://127.0.0.1:{open_server.port}/chat"
    async with connect(
        url, transports=[transport], verify=False, trust_env=False, pacing=PACING
    ) as channel:
        await channel.send("unverified")
        assert await channel.receive() == "unverified"


async def check_reasons(url: str, expected: str, **options: Any) -> None:
    """Check that every transport fails with a reason that starts with ``expected``."""
    async with no_leaked_tasks():
        reasons = await failures(url, trust_env=False, **options)
    assert list(reasons) == TRANSPORTS
    for reason in reasons.values():
        assert re.match(expected, reason), reasons


async def test_unknown_authority_is_told_with_cure(open_server: Server) -> None:
    await check_reasons(
        f"https://127.0.0.1:{open_server.port}/chat",
        r"TLS: the server's certificate is signed by nobody that this client trusts; .*"
        r"connect\(verify=ssl\.create_default_context\(cafile=\.\.\.\)\)",
    )


async def test_certificate_of_another_host_is_told(
    authority: Authority, open_server: Server
) -> None:
    await check_reasons(
        f"https://localhost:{open_server.port}/chat",
        "TLS: the server's certificate is for another host; check the URL",
        verify=authority.trusting(),
    )


async def test_missing_client_certificate_is_told(
    authority: Authority, closed_server: Server
) -> None:
    """Servers on asyncio close the connection then, without an alert that says why."""
    await check_reasons(
        f"https://127.0.0.1:{closed_server.port}/chat",
        "closed without an answer: .* the server may want a client certificate",
        verify=authority.trusting(),
    )


@pytest.mark.parametrize("foreign", [False, True], ids=["none", "foreign"])
async def test_refused_client_certificate_is_told(
    foreign: bool, authority: Authority, tmp_path: Path
) -> None:
    """OpenSSL's own server says why, in an alert."""
    context = authority.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # in 1.3 the alert may be lost
    if foreign:
        context.load_cert_chain(Authority(tmp_path).client)
    [port] = free_ports(1)
    options = {"accept": port, "CAfile": authority.ca, "Verify": 1, "cert": authority.server}
    command = ["openssl", "s_server", "-www", "-verify_return_error"]
    command += [text for name, value in options.items() for text in (f"-{name}", str(value))]
    async with running("openssl", command, tmp_path, [port]):
        await check_reasons(
            f"https://127.0.0.1:{port}/chat",
            r"TLS: the server does not accept this client's certificate, or wants one; .*"
            r"load_cert_chain",
            verify=context,
        )


async def test_http_port_at_https_url_is_told() -> None:
    async with serving("tests.support.apps:echo", clean=False) as server:
        await check_reasons(
            f"https://127.0.0.1:{server.port}/chat",
            "TLS failed; does the server speak https at this port?",
            verify=ssl.create_default_context(),
        )
