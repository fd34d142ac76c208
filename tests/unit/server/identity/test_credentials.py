"""Credentials on each transport: checked at each attach, renewed in band (IDN-2, REN-1).

The last part covers errors of an application's ``authenticate``.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from tests.support.clients.frame_client import TRANSPORTS, Ended, frame_client, try_open
from tests.support.counted import counted
from tests.unit.server.identity.timed_credentials import TimedCredentials, resuming_open
from transport import Channel, ChannelClosed, Hub, Identity, Limits
from transport.testing import drive, opening, until

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


def renew(credentials: Any) -> dict[str, Any]:
    return {"type": "renew", "credentials": credentials}


# At each attach


@each_transport
async def test_authenticate_is_called_once_for_each_attach(transport: str) -> None:
    """IDN-2."""
    authenticate = TimedCredentials()
    async with drive(
        Hub(echo, authenticate=authenticate), transport=transport, credentials=["ada", 1e6]
    ) as (page):
        for number in range(5):
            await page.send(number)
            assert await page.receive() == number
        assert len(authenticate.calls) == 1
        page.cut()
        assert await page.resume()
        await page.send("x")
        assert await page.receive() == "x"
        assert authenticate.calls == [["ada", 1e6]] * 2


@each_transport
@pytest.mark.parametrize("credentials", [["ada", -1], ["ada", 0], None])
async def test_open_with_expired_or_no_credentials_is_refused(
    transport: str, credentials: Any
) -> None:
    """IDN-2."""
    hub = Hub(echo, authenticate=TimedCredentials())
    refused = await try_open(hub, transport, opening(credentials=credentials))
    assert refused is not None
    assert refused.error["code"] == "unauthorized"
    assert refused.code == (4401 if transport == "websocket" else 401)
    assert counted(hub).sessions == 0


@each_transport
async def test_resume_with_expired_credentials_leaves_session(transport: str) -> None:
    """IDN-2, REN-1: the session stays until valid credentials arrive or it expires."""
    hub = Hub(echo, authenticate=TimedCredentials())
    async with frame_client(hub, transport, opening(credentials=["ada", 1000])) as client:
        await client.confirm()
        refused = await try_open(hub, transport, resuming_open(client, ["ada", -1]))
        assert refused is not None
        assert refused.error["code"] == "unauthorized"
        frame = resuming_open(client, ["ada", 1])
        async with frame_client(hub, transport, frame) as second:
            assert second.opened["verdict"] == "resumed"


# Renewal


@each_transport
async def test_credentials_renewed_in_time_keep_session(transport: str) -> None:
    """REN-1."""
    authenticate = TimedCredentials()
    users: list[Any] = []

    async def keeps(channel: Channel) -> None:
        async for message in channel:
            users.append(channel.user)
            await channel.send(message)

    hub = Hub(keeps, authenticate=authenticate)
    async with drive(hub, transport=transport, credentials=["ada", 50]) as page:
        await page.send(1)
        page.credentials = ["ada", 10_000]
        await asyncio.sleep(500)
        assert authenticate.calls[-1] == ["ada", 10_000]
        await page.send(2)
        assert [await page.receive(), await page.receive()] == [1, 2]
        assert users == [["ada", 50], ["ada", 10_000]]
        assert counted(hub).resets == {}


@each_transport
@pytest.mark.parametrize("credentials", [None, ["eve", 1000], ["ada", -1]])
async def test_failed_renewal_ends_connection_not_session(transport: str, credentials: Any) -> None:
    """REN-1, IDN-2: the new credentials are refused, another user's, or expired too."""
    hub = Hub(echo, authenticate=TimedCredentials())
    async with frame_client(hub, transport, opening(credentials=["ada", 50])) as client:
        await client.confirm()
        assert await client.control("renew") == {"type": "renew", "within": 30.0}
        if transport == "websocket":
            await client.send(renew(credentials))
            end = await client.ended()
            assert (end.code, end.error["code"]) == (4401, "unauthorized")
        else:
            with pytest.raises(Ended) as refused:
                await client.send(renew(credentials))
            assert (refused.value.code, refused.value.error["code"]) == (401, "unauthorized")
            assert (await client.ended()).error["code"] == "unauthorized"
        assert counted(hub).connections[transport] == 0
        frame = resuming_open(client, ["ada", 1000])
        async with frame_client(hub, transport, frame) as second:
            assert second.opened["verdict"] == "resumed"


@each_transport
async def test_missing_renewal_ends_connection_after_deadline(transport: str) -> None:
    """REN-1: requests succeed until the deadline; after it, POST and poll are refused too."""
    hub = Hub(echo, authenticate=TimedCredentials(), limits=Limits(renewal=10))
    loop = asyncio.get_running_loop()
    async with frame_client(hub, transport, opening(credentials=["ada", 50])) as client:
        await client.confirm()
        assert await client.control("renew") == {"type": "renew", "within": 10.0}
        asked = loop.time()
        assert asked == pytest.approx(50, abs=1)
        await asyncio.sleep(9)
        assert (await client.post()).status == 200
        end = await client.ended()
        assert loop.time() - asked == pytest.approx(10, abs=1)
        assert end.error["code"] == "unauthorized"
        assert (await client.post()).status == 401
        assert counted(hub).sessions == 1
        frame = resuming_open(client, ["ada", 1000])
        async with frame_client(hub, transport, frame) as second:
            assert second.opened["verdict"] == "resumed"
            await second.confirm()
            assert (await second.post()).status == 200


@each_transport
async def test_resume_after_expiry_requires_new_credentials(
    transport: str,
) -> None:
    """REN-1."""
    authenticate = TimedCredentials()
    async with drive(
        Hub(echo, authenticate=authenticate), transport=transport, credentials=["ada", 50]
    ) as (page):
        page.cut()
        page.credentials = ["ada", 1000]
        await asyncio.sleep(100)
        assert await page.resume()
        await page.send("back")
        assert await page.receive() == "back"
        assert authenticate.calls == [["ada", 50], ["ada", 1000]]


@each_transport
async def test_resume_with_expired_credentials_closes_channel(transport: str) -> None:
    """REN-1, section 13: the application gets `unauthorized`."""
    async with drive(
        Hub(echo, authenticate=TimedCredentials()), transport=transport, credentials=["ada", 50]
    ) as page:
        page.cut()
        page.credentials = ["ada", -1]
        with pytest.raises(ChannelClosed, match="unauthorized"):
            await page.resume()


async def test_renewal_is_accepted_after_stream_has_ended() -> None:
    """REN-1, ATT-7: a POST is still served then, so its renewal takes effect."""
    hub = Hub(echo, authenticate=TimedCredentials(), limits=Limits(renewal=10))
    async with frame_client(hub, "sse", opening(credentials=["ada", 50])) as client:
        await client.confirm()
    answer = await client.post(renew(["ada", 1000]))
    assert (answer.status, answer.frames[0]["attached"]) == (200, False)
    await asyncio.sleep(70)
    assert (await client.post()).status == 200
    assert (await client.post(renew(["eve", 1000]))).status == 401


async def slow_renewal(connection: HTTPConnection, credentials: Any) -> Identity:
    """Take three seconds for each renewal."""
    if credentials is not None:
        await asyncio.sleep(3)
    return Identity("ada")


@each_transport
async def test_other_frames_are_received_during_renewal(transport: str) -> None:
    """REN-1: the check may take as long as Limits(opening=...), and pings are due meanwhile."""
    async with frame_client(Hub(echo, authenticate=slow_renewal), transport) as client:
        await client.confirm()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        renewal = asyncio.ensure_future(client.send(renew("fresh")))
        await asyncio.sleep(0.1)
        await client.send([1, 0, "meanwhile"])
        assert await client.data() == ["meanwhile"]
        assert loop.time() - begun < 1
        await renewal


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
async def test_second_renewal_in_hand_is_refused(transport: str) -> None:
    """REN-1, section 12: one at a time for each session."""
    async with frame_client(Hub(echo, authenticate=slow_renewal), transport) as client:
        await client.confirm()
        renewal = asyncio.ensure_future(client.send(renew("fresh")))
        await asyncio.sleep(0.1)
        error = await client.refusal(renew("again"))
        assert (error["code"], error["limit"]) == ("too_many", "renewals")
        await asyncio.wait({renewal})


async def test_renewals_on_websocket_are_checked_in_turn() -> None:
    """REN-1: one at a time; of those that wait, only the newest matters."""
    checked: list[Any] = []

    async def authenticate(connection: HTTPConnection, credentials: Any) -> Identity:
        checked.append(credentials)
        return await slow_renewal(connection, credentials)

    hub = Hub(echo, authenticate=authenticate)
    async with frame_client(hub, "websocket") as client:
        await client.confirm()
        for number in range(5):
            await client.send(renew(number))
            await asyncio.sleep(0.1)
        await asyncio.sleep(10)
        assert checked == [None, 0, 4]
        assert counted(hub).connections["websocket"] == 1


async def test_renewal_on_websocket_is_activity() -> None:
    """LIV-3: "the last frame of its client" may be a renewal."""
    limits = Limits(heartbeat=20, ttl=100)
    hub = Hub(echo, authenticate=TimedCredentials(), limits=limits)
    async with frame_client(hub, "websocket", opening(credentials=["ada", 1e6])) as client:
        await client.confirm()
        for _ in range(10):
            await asyncio.sleep(30)
            await client.send(renew(["ada", 1e6]))
        await asyncio.sleep(1)
        assert counted(hub).connections["websocket"] == 1


async def test_credentials_expire_while_process_is_stopped() -> None:
    """REN-1: they expire by wall-clock time, but the client still has time to renew them."""
    hub = Hub(echo, authenticate=TimedCredentials())
    loop: Any = asyncio.get_running_loop()
    async with frame_client(hub, "websocket", opening(credentials=["ada", 1000])) as client:
        await client.confirm()
        await asyncio.sleep(1)
        loop._time += 2000  # as if the process had been stopped
        await client.control("renew")
        assert loop.time() == pytest.approx(2001, abs=1)
        await client.send(renew(["ada", 1000]), {"type": "ping"})
        await client.control("pong")


# Errors of the application


async def raising(connection: HTTPConnection, credentials: Any) -> Identity | None:
    raise OSError("the database is unavailable")


async def hanging(connection: HTTPConnection, credentials: Any) -> Identity | None:
    await asyncio.sleep(10_000)
    return None


def ada() -> Identity:
    return Identity("ada")


def returning(value: Any) -> Any:
    async def authenticate(connection: HTTPConnection, credentials: Any) -> Any:
        return value

    return authenticate


def naming(subject: Any, **fields: Any) -> Any:
    async def authenticate(connection: HTTPConnection, credentials: Any) -> Any:
        return Identity(subject, **fields)

    return authenticate


@each_transport
@pytest.mark.parametrize(
    ("authenticate", "expected"),
    [
        (raising, "the database is unavailable"),
        (hanging, r"took longer than Limits\(opening=4\)"),
        (lambda *_: ada(), "authenticate must be async: write `async def`"),
        (returning(True), "must return an Identity or None, not a bool"),
        (returning(False), "must return an Identity or None, not a bool"),
        (returning("ada"), "must return an Identity or None, not a str"),
        (returning({"subject": "ada"}), "must return an Identity or None, not a dict"),
        (naming(7), r"subject must be a str that names the user, not a int: write Identity\(str"),
        (naming(None), "not a NoneType"),
        (naming("ada", expires="soon"), "expires must be Unix time in seconds, not a str"),
        (naming("ada", expires=float("nan")), "expires must be Unix time"),
    ],
)
async def test_broken_authenticate_refuses_open_and_is_logged(
    transport: str, authenticate: Any, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    """IDN-2: the server is at fault, so the client retries. It gets no details."""
    hub = Hub(echo, authenticate=authenticate, limits=Limits(opening=4))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    if authenticate is hanging:
        opening_task = asyncio.create_task(try_open(hub, transport))
        await asyncio.sleep(3.9)
        assert not opening_task.done()
        await asyncio.sleep(0.2)
        refused = await opening_task
    else:
        refused = await try_open(hub, transport)
        assert loop.time() == begun
    assert refused is not None
    assert refused.error == {
        "type": "error",
        "code": "unavailable",
        "message": "the server could not check the credentials: its log says why",
        "retry_in": 5.0,
    }
    assert refused.code == (1013 if transport == "websocket" else 503)
    [record] = [one for one in caplog.records if one.levelname == "ERROR"]
    assert record.getMessage().startswith("authenticate_failed")
    assert re.search(expected, caplog.text)
    assert counted(hub).sessions == 0


@each_transport
async def test_unchecked_renewal_ends_connection_not_session(transport: str) -> None:
    """REN-1: the client reconnects with its credentials."""
    failing = False

    async def flaky(connection: HTTPConnection, credentials: Any) -> Identity:
        if failing:
            raise OSError("unavailable")
        return Identity("ada")

    hub = Hub(echo, authenticate=flaky)
    async with frame_client(hub, transport) as client:
        await client.confirm()
        failing = True
        assert (await client.refusal(renew(1)))["code"] == "unavailable"
        await client.ended()
        failing = False
        async with frame_client(hub, transport, resuming_open(client, 1)) as second:
            assert second.opened["verdict"] == "resumed"


async def test_guests_are_exempt_from_limit_of_subject() -> None:
    """IDN-2: guests cannot be told apart, so they do not share one count."""

    async def anybody(connection: HTTPConnection, credentials: Any) -> Identity:
        return Identity("")

    hub = Hub(echo, authenticate=anybody, limits=Limits(sessions_per_subject=1))
    for number in range(3):
        frame = opening(nonce=f"guest-{number}-0123456789abcdef")
        assert await try_open(hub, "longpoll", frame) is None
    await until(lambda: counted(hub).sessions == 3)
