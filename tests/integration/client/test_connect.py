"""`connect` against a real server: what a service that uses it sees, and what it never sees."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.integration.client.kit import (
    PACING,
    TRANSPORTS,
    apps,
    no_leaked_tasks,
    open_to,
    release,
    report,
    until,
    until_report,
)
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import free_port, serving
from transport import (
    Busy,
    ChannelClosed,
    Fate,
    Limits,
    SessionReset,
    TooLarge,
    Unacknowledged,
    Unreachable,
    Unsendable,
    connect,
)

UNICODE = ["\u2028", "\u0085", "\x00", "\U0010ffff", "a\r\nb", '"\\', "日本", "\ud7ff\ue000"]


# Conversation


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_kind_of_message_is_echoed(transport: str) -> None:
    messages: list[Any] = [
        *UNICODE,
        "",
        0,
        -1.5,
        True,
        None,
        {"nested": [[{"a": None}]], "\u2028": UNICODE},
        2**53 - 1,
        b"",
        bytes(range(256)),
        b"x" * Limits().message,
        "y" * (Limits().message - 2),
    ]
    async with serving("tests.integration.client.apps:quiet") as server, no_leaked_tasks():
        async with open_to(server.port, transport) as channel:
            assert (channel.transport, channel.phase) == (transport, "open")
            assert channel.connected
            assert channel.id
            numbers = [await channel.send(message) for message in messages]
            assert numbers == list(range(1, len(messages) + 1))
            assert [await channel.receive() for _ in messages] == messages
            await channel.flush()
            there = (await report(server))["channels"][0]
            here = channel.statistics()
            assert (here.sent, here.acknowledged, here.buffered) == (len(messages),) * 2 + (0,)
            assert (there["received"], there["handled"]) == (len(messages),) * 2
            assert (here.received, there["sent"]) == (len(messages),) * 2
            assert (here.attaches, here.replayed, here.resets) == (1, 0, 0)
        assert (channel.transport, channel.phase) == (None, "closed")
        assert (await until_report(server, lambda found: found["ended"]))["channels"] == []


async def test_connect_selects_best_transport() -> None:
    async with apps("echo") as server, open_to(server.port) as channel:
        assert channel.transport == "websocket"
        assert [attempt.outcome for attempt in channel.explain()] == ["open"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_explain_reports_close(transport: str) -> None:
    async with apps("echo") as server, open_to(server.port, transport) as channel:
        await channel.close(4001, "enough")
        attempt = channel.explain()[-1]  # on HTTP, one more attempt may have queried the outcome
        assert attempt.outcome in ("lost", "failed")
        assert attempt.reason == "closed: 4001 enough"


async def test_iteration_ends_when_server_closes() -> None:
    async with apps("bye") as server, open_to(server.port) as channel:
        assert await channel.receive() == "welcome"
        await release(server)
        assert [message async for message in channel] == ["bye"]
        with pytest.raises(ChannelClosed) as caught:
            await channel.receive()
        assert caught.value.code == 1000
        with pytest.raises(ChannelClosed):
            await channel.send("late")


async def test_full_window_makes_send_wait() -> None:
    """DAT-6: the handler receives nothing more, and the window is 50."""
    async with apps("rows") as server, open_to(server.port) as channel:
        await channel.send({"rows": 400})
        async with anyio.create_task_group() as tasks:

            async def answer() -> None:
                for index in range(1, 401):
                    await channel.send({"answer": index})
                    assert channel.statistics().buffered <= 50

            tasks.start_soon(answer)
            for index in range(1, 401):
                assert await channel.receive() == {"row": index}
            assert await channel.receive() == "all answered"
        assert (await report(server))["wrong"] == []


async def test_invalid_arguments_raise_without_sending() -> None:
    async with apps("echo") as server, open_to(server.port) as channel:
        with pytest.raises(Unsendable):
            await channel.send({1})
        with pytest.raises(TooLarge):
            await channel.send("x" * Limits().message)
        for number in (0, 1):
            with pytest.raises(ValueError, match="no message"):
                await channel.acknowledged(number)
        with pytest.raises(ValueError, match="close code"):
            await channel.close(1002)
        with pytest.raises(ValueError, match="close reason"):
            await channel.close(3000, "x" * 124)
        await channel.flush()  # nothing was sent
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(channel.receive)
            await anyio.lowlevel.checkpoint()
            with pytest.raises(Busy):
                await channel.receive()
            tasks.cancel_scope.cancel()
        channel.state.mine = 1
        assert channel.state.mine == 1


# Switches and cuts


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_reconnect_replaces_stalled_connection(transport: str) -> None:
    async with (
        apps("echo") as server,
        FaultProxy(server.port) as proxy,
        open_to(proxy.port, transport) as channel,
    ):
        await channel.send("before")
        assert await channel.receive() == "before"
        proxy.stall()
        number = await channel.send("during")
        await anyio.sleep(0.05)
        proxy.cut("rst")
        proxy.heal()
        channel.reconnect()
        assert await channel.receive() == "during"
        await channel.acknowledged(number)
        assert channel.statistics().attaches == 2


async def test_suspend_disconnects_until_resume() -> None:
    async with apps("echo") as server, open_to(server.port) as channel:
        channel.suspend()
        assert channel.phase == "suspended"
        assert not channel.connected
        await channel.send("waits")
        await anyio.sleep(0.1)
        assert channel.statistics().received == 0
        channel.resume()
        assert await channel.receive() == "waits"
        assert channel.statistics().resets == 0
        channel.resume()  # already attached: no effect


# Falling back


async def test_connect_falls_back_if_websocket_is_not_served() -> None:
    async with (
        serving(
            "tests.integration.client.apps:no_websocket", "--no-access-log", clean=False
        ) as server,
        open_to(server.port) as channel,
    ):
        assert channel.transport == "sse"
        await channel.send("by POST")
        assert await channel.receive() == "by POST"
        # An event stream counts as working only after a POST was answered too.
        await until(lambda: channel.explain()[1].outcome == "open")
        first, second = channel.explain()
        assert (first.transport, first.outcome) == ("websocket", "failed")
        assert (second.transport, second.outcome) == ("sse", "open")


async def test_connect_to_absent_server_raises_unreachable() -> None:
    async with no_leaked_tasks():
        with pytest.raises(Unreachable, match=r"websocket: .*longpoll: ") as caught:
            async with open_to(free_port(), timeout=2):
                pass
        assert set(caught.value.reasons) == set(TRANSPORTS)
        for reason in caught.value.reasons.values():
            assert reason.startswith("connection refused: no server listens")
        assert isinstance(caught.value, ConnectionError)


async def test_connect_beside_mount_says_check_mount_path() -> None:
    async with serving("tests.support.apps:echo", clean=False) as server:
        url = f"{server.url}/elsewhere"
        with pytest.raises(Unreachable, match=f"at {url} ") as caught:
            async with connect(url, trust_env=False, timeout=1, pacing=PACING):
                pass
        for reason in caught.value.reasons.values():
            assert reason.startswith("HTTP 40")
            assert "check the mount path" in reason


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_final_refusal_closes_channel(transport: str) -> None:
    """An error with `again: no` ends the channel at once (section 13)."""
    async with serving("tests.integration.client.apps:guarded") as server, no_leaked_tasks():
        with pytest.raises(ChannelClosed) as caught:
            async with open_to(server.port, transport, credentials="wrong"):
                pass
        assert caught.value.code == 4401
        assert "unauthorized" in caught.value.reason


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_foreign_origin_closes_channel(transport: str) -> None:
    # Not clean: uvicorn itself logs an error if a WebSocket is denied with a response.
    async with serving("tests.support.apps:echo", clean=False) as server, no_leaked_tasks():
        with pytest.raises(ChannelClosed) as caught:
            async with open_to(server.port, transport, origin="https://elsewhere.example"):
                pass
        assert caught.value.code == 4403
        async with open_to(server.port, transport, origin=server.url) as channel:
            assert channel.connected


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_credentials_are_requested_at_each_attach(transport: str) -> None:
    asked = 0

    async def credentials() -> str:
        nonlocal asked
        asked += 1
        await anyio.lowlevel.checkpoint()
        return "open"

    async with (
        serving("tests.integration.client.apps:guarded", "--no-access-log") as server,
        open_to(server.port, transport, credentials=credentials, headers={"x-it": "1"}) as channel,
    ):
        assert await channel.receive() == "hello, 1"
        channel.reconnect()
        await channel.send("back")
        assert await channel.receive() == "back"
        assert asked == 2


async def test_failing_credentials_count_as_failed_attempt(caplog: Any) -> None:
    calls = iter([False, True])

    def credentials() -> str:
        if not next(calls):
            raise RuntimeError("no token")
        return "open"

    async with (
        serving("tests.integration.client.apps:guarded", "--no-access-log") as server,
        open_to(server.port, credentials=credentials) as channel,
    ):
        assert await channel.receive() == "hello, None"
        assert [attempt.reason for attempt in channel.explain()] == ["no credentials", ""]
    assert "credentials failed" in caplog.text


# Resets


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_restart_reports_fates(transport: str) -> None:
    """EPO-1, RES-3: it is not known what the old process has done."""
    async with (
        serving("tests.support.apps:holding", "--no-access-log", clean=False) as server,
        open_to(server.port, transport) as channel,
    ):
        before = channel.id
        await channel.send("one")
        assert await channel.receive() == "one"
        held = await channel.send("forever")
        await until_report(server, lambda found: "forever" in found["messages"])
        await server.kill()
        await until(lambda: not channel.connected)
        waits = await channel.send("never on a wire")
        await server.start()
        with pytest.raises(SessionReset) as reset:
            await channel.receive()
        assert reset.value.reason == "restarted"
        assert reset.value.lost is None
        await channel.acknowledged(1)
        for number, fate in ((held, Fate.UNKNOWN), (waits, Fate.NOT_HANDLED)):
            with pytest.raises(Unacknowledged) as caught:
                await channel.acknowledged(number)
            assert (caught.value.number, caught.value.fate) == (number, fate)
            assert isinstance(caught.value.__cause__, SessionReset)
        # The channel continues with a new session and with its own numbering.
        assert await channel.send("anew") == waits + 1
        assert await channel.receive() == "anew"
        await channel.flush()
        assert channel.id != before
        assert channel.statistics().resets == 1


async def test_expiry_reports_fate_of_message_in_hand() -> None:
    async with (
        serving("tests.support.apps:expiring", "--no-access-log", clean=False) as server,
        open_to(server.port) as channel,
    ):
        await channel.send("one")
        assert await channel.receive() == "one"
        for message in ("forever", "behind"):
            await channel.send(message)
        await until_report(server, lambda found: "forever" in found["messages"])
        channel.suspend()
        await until_report(server, lambda found: not found["channels"])
        channel.resume()
        with pytest.raises(SessionReset) as reset:
            async for _ in channel:
                pass
        assert (reset.value.reason, reset.value.lost) == ("expired", ())
        for number, fate in ((2, Fate.UNKNOWN), (3, Fate.NOT_HANDLED)):
            with pytest.raises(Unacknowledged) as caught:
                await channel.acknowledged(number)
            assert caught.value.fate is fate
        await channel.send("anew")
        assert await channel.receive() == "anew"


# Arguments


def test_connect_checks_url_and_transports() -> None:
    with pytest.raises(ValueError, match="must be an http"):
        connect("/chat")
    with pytest.raises(ValueError, match="must be an http"):
        connect("http://:8000/chat")
    with pytest.raises(ValueError, match="some of websocket, sse, longpoll"):
        connect("http://localhost/chat", transports=["pigeon"])
    with pytest.raises(ValueError, match="some of"):
        connect("http://localhost/chat", transports=[])


async def test_connect_can_be_entered_only_once() -> None:
    async with apps("echo") as server:
        opening = open_to(server.port)
        async with opening:
            pass
        with pytest.raises(RuntimeError, match="call connect"):
            await opening.__aenter__()
