"""Secrets stay secret: no log has tokens, nonces or credentials (OPN-6, IDN-3, HTTP-1)."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from tests.support.clients.frame_client import TRANSPORTS, frame_client, try_open
from transport import Channel, Hub, Identity
from transport.stores.memory import MemoryStore
from transport.testing import drive, opening

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
PASSWORD = "a-password-that-nobody-guesses"


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def password(connection: HTTPConnection, credentials: Any) -> Identity | None:
    return Identity("ada") if credentials == PASSWORD else None


@each_transport
async def test_server_log_holds_no_secret_and_no_message(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """This covers a whole session: open, refusals, a stolen token, resume and close."""
    caplog.set_level(logging.DEBUG)
    hub = Hub(echo, authenticate=password)
    frame = opening(credentials=PASSWORD)
    async with frame_client(hub, transport, frame) as client:
        await client.confirm()
        await client.send([1, 0, "a message that is nobody's business"])
        await client.data()
        await client.refusal([9, 0, "beyond a gap, nobody's business"])
        await try_open(hub, transport, opening(2, session=client.token, credentials="wrong-secret"))
        await try_open(hub, transport, opening(2, session="not-an-id.not-a-secret", nonce="e" * 22))
        resumed = opening(3, session=client.token, credentials=PASSWORD, received=1)
        async with frame_client(hub, transport, {**resumed, "first_retained": 2}) as (second):
            assert second.opened["verdict"] == "resumed"
            assert "session" not in second.opened  # it is sent once (OPN-6)
        await hub.close_user("ada")
        token = client.token
    logged = "\n".join([caplog.text, *(str(vars(one)) for one in caplog.records)])
    assert client.opened["id"] in logged
    secrets = [
        *token.split(".")[1:],
        str(frame["nonce"]),
        PASSWORD,
        *("wrong-secret", "not-a-secret", "nobody's business"),
    ]
    assert [one for one in secrets if one in logged] == []


@each_transport
async def test_token_is_long_and_fresh_and_only_hash_is_stored(transport: str) -> None:
    """OPN-6, IDN-3."""
    store = MemoryStore()
    tokens = set()
    for number in range(20):
        nonce = f"nonce-{number:02}-0123456789abcdef"
        async with frame_client(Hub(echo, store=store), transport, opening(nonce=nonce)) as client:
            name, secret = client.token.split(".")
            assert name == client.opened["id"]
            assert re.fullmatch(r"[A-Za-z0-9_-]{22,}", secret)  # 6 bits each, at least 132 in all
            assert len(client.token) <= 128
            tokens.add(secret)
            record: Any = await store.find(name, 0.0)
            assert secret not in str(record)
            assert len(record.hash) == 32
    assert len(tokens) == 20


@each_transport
async def test_urls_hold_no_secret(transport: str) -> None:
    """HTTP-1."""
    urls: list[str] = []
    hub = Hub(echo, authenticate=password)

    async def watched(scope: Any, receive: Any, send: Any) -> None:
        urls.append(scope["path"] + "?" + scope["query_string"].decode())
        await hub(scope, receive, send)

    async with drive(watched, "/chat/room?lang=de", transport=transport, credentials=PASSWORD) as (
        page
    ):
        await page.send("x")
        assert await page.receive() == "x"
        page.cut()
        assert await page.resume()
        await page.close()
    assert set(urls) <= {
        f"/chat/room/{name}?lang=de" for name in ("websocket", "sse", "poll", "send")
    }
