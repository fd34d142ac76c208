"""The debug log of the client: it shows what happens on the wire, and no secret."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.client.memory_network import Network, in_memory
from transport import Channel, ChannelClosed, Hub, Identity, connect

TRANSPORTS = ("websocket", "sse", "longpoll")


@in_memory
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_debug_log_has_frames_and_no_secrets(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Of every logger at its most verbose level: kinds, numbers and outcomes, and nothing else."""
    caplog.set_level(1)
    secrets = [f"s3cret-{index}" for index in range(8)]

    async def speak(channel: Channel) -> None:
        await channel.receive()
        await channel.send({"answer": secrets[0]})
        await channel.send(secrets[1].encode())
        await channel.receive()
        await channel.close(3000, secrets[2])

    async def authenticate(connection: Any, credentials: Any) -> Identity:
        return Identity(secrets[3])

    Network(Hub(speak, authenticate=authenticate))
    url = f"http://me:{secrets[4]}@127.0.0.1:1/?token={secrets[5]}"
    headers = {"authorization": secrets[6]}
    opened: list[str] = []
    async with connect(
        url, transports=[transport], credentials=secrets[7], headers=headers, trust_env=False
    ) as channel:
        channel.reconnect()
        await channel.send({"question": "s3cret-q"})
        assert await channel.receive() == {"answer": secrets[0]}
        channel_id, session = channel.id, channel._driver.session.handshake
        opened += [str(session.token), session.client]
        assert await channel.receive() == secrets[1].encode()
        await asyncio.sleep(60)
        await channel.send("s3cret-r")
        with pytest.raises(ChannelClosed):
            await channel.receive()
    # uvicorn's own log has the requests that it receives; httpx's has their URLs.
    records = [one for one in caplog.records if one.name.startswith(("transport", "websockets"))]
    lines = [one.getMessage() for one in records]
    for name in ("connecting", "connected", "disconnected", "frame_sent", "frame_received"):
        assert any(line.startswith(f"{name} transport={transport}") for line in lines), name
    opening = ["open attach=2", f"opened channel={channel_id} attach=2"]
    for part in (*opening, "data 1-1 ack=0", "close ack=2 code=3000"):
        assert any(part in line for line in lines), part
    for secret in [*opened, "s3cret"]:
        assert not [one for one in records if secret in f"{one.getMessage()} {vars(one)}"]
