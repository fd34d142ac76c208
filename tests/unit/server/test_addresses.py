"""How clients are counted by address (PROTOCOL.md section 12), also behind a proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.turned_clock import anyio_backend  # noqa: F401 - a fixture
from transport import Channel, Hub, Limits
from transport.errors import ProtocolError
from transport.server.addresses import address_of
from transport.server.admission import ONE_ADDRESS_SESSIONS, RESUMES_PER_SECOND, Admission
from transport.testing import ask, lines, opening

PROXY = "10.0.0.7"


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


def connection_from(address: str | None) -> HTTPConnection:
    client = (address, 1) if address is not None else None
    return HTTPConnection({"type": "http", "headers": [], "client": client})


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("[2001:db8::1]", "[2001:db8::1]"),  # no address: counted as it is
        ("testclient", "testclient"),
        ("", ""),
        (None, ""),
    ],
)
def test_ipv6_addresses_count_by_network(address: str | None, counted: str) -> None:
    """A single subscriber has at least a /64, so 2^64 addresses."""
    assert address_of(connection_from(address)) == counted


def from_address(hub: ASGIApp, address: str) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hub({**scope, "client": (address, 1)}, receive, send)

    return app


async def test_ipv6_neighbours_share_one_limit() -> None:
    """Section 12."""
    hub = Hub(silent, limits=Limits(sessions_per_address=2))
    statuses = []
    for number, address in enumerate(
        ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1")
    ):
        frame = opening(nonce=f"nonce-{number:022}")
        statuses.append((await ask(from_address(hub, address), "/poll", lines(frame))).status)
    assert statuses == [200, 200, 429, 200]


async def test_all_pages_of_proxy_resume_at_once() -> None:
    """Section 12: 5,000 pages took 100 s after the restart of their proxy."""
    hub = Hub(silent, limits=Limits(opens_per_second=10, sessions_per_address=200))
    app = from_address(hub, PROXY)
    tokens = []
    async with hub.lifespan():
        for number in range(100):
            frame = opening(client=f"client-{number:016}", nonce=f"nonce-{number:022}")
            answer = await ask(app, "/poll", lines(frame))
            tokens.append(answer.frames[0]["session"])
            if number % 10 == 9:
                await sleep_a_second()
        for number, token in enumerate(tokens):
            frame = opening(2, client=f"client-{number:016}", session=token)
            answer = await ask(app, "/poll", lines(frame))
            assert (answer.status, answer.frames[0]["verdict"]) == (200, "resumed")


async def sleep_a_second() -> None:
    """Let the clock that the test turns pass the second in which opens are counted."""
    await asyncio.sleep(1.01)


@pytest.mark.parametrize("token", ["no-such-id.secret", "x", "{id}.wrong", "{id}."])
async def test_resume_with_bad_token_counts_as_open(token: str) -> None:
    """Section 12: else anybody could evade the limit."""
    hub = Hub(silent, limits=Limits(opens_per_second=3))
    opened = (await ask(hub, "/poll", lines(opening()))).frames[0]
    forged = token.format(id=opened["id"])
    statuses = [
        (await ask(hub, "/poll", lines(opening(number, session=forged)))).status
        for number in range(2, 6)
    ]
    assert statuses == [200, 200, 429, 429]


async def test_token_of_ended_session_counts_as_open() -> None:
    """Section 12: tokens of ended sessions could be collected without bound."""

    async def closes(channel: Channel) -> None:
        await channel.close()

    hub = Hub(closes, limits=Limits(opens_per_second=3))
    token = (await ask(hub, "/poll", lines(opening()))).frames[0]["session"]
    statuses = [
        (await ask(hub, "/poll", lines(opening(number, session=token)))).status
        for number in range(2, 6)
    ]
    assert statuses == [200, 200, 429, 429]


async def test_resumes_of_one_session_beyond_its_own_count_as_opens() -> None:
    """Section 12: at the bound and above it, and again after a second."""
    hub = Hub(silent, limits=Limits(opens_per_second=3))
    token = (await ask(hub, "/poll", lines(opening()))).frames[0]["session"]
    number = 1
    for free in (2, 3):  # in the first second, the open itself has taken one of three
        for _ in range(RESUMES_PER_SECOND + free):
            number += 1
            assert (await ask(hub, "/poll", lines(opening(number, session=token)))).status == 200
        assert (await ask(hub, "/poll", lines(opening(number + 1, session=token)))).status == 429
        await sleep_a_second()


@pytest.fixture
def admit(caplog: pytest.LogCaptureFixture) -> Callable[[Admission, str, int], list[str]]:
    """Return a function that admits sessions, and returns the lines about one address."""

    def admitting(admission: Admission, address: str, count: int) -> list[str]:
        for _ in range(count):
            admission.count_session("", address, 0.0)
        return [one.getMessage() for one in caplog.records if "one_address" in one.getMessage()]

    return admitting


Admit = Callable[[Admission, str, int], list[str]]


def test_sessions_of_one_address_are_logged_once(admit: Admit) -> None:
    admission = Admission(Limits())
    assert admit(admission, PROXY, ONE_ADDRESS_SESSIONS - 1) == []
    [line] = admit(admission, PROXY, 1)
    assert line.startswith(f"one_address sessions={ONE_ADDRESS_SESSIONS}: ")
    for cure in ("X-Forwarded-For", "--forwarded-allow-ips", "sessions_per_address=1000"):
        assert cure in line
    assert PROXY not in line
    assert len(admit(admission, PROXY, 2 * ONE_ADDRESS_SESSIONS)) == 1


def test_sessions_of_several_addresses_are_not_logged(admit: Admit) -> None:
    admission = Admission(Limits())
    admit(admission, "192.0.2.1", 1)
    admission.release_session("", "192.0.2.1")
    assert admit(admission, PROXY, 3 * ONE_ADDRESS_SESSIONS) == []


def test_sessions_of_unknown_addresses_are_not_logged(admit: Admit) -> None:
    """On a Unix socket no address is known, and none is counted."""
    assert admit(Admission(Limits()), "", 3 * ONE_ADDRESS_SESSIONS) == []


def test_refused_session_says_how_to_see_addresses() -> None:
    admission = Admission(Limits(sessions_per_address=1))
    admission.count_session("", PROXY, 0.0)
    with pytest.raises(ProtocolError, match="X-Forwarded-For"):
        admission.count_session("", PROXY, 0.0)
