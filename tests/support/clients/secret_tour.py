"""A tour of clients over two processes of a hub, with everything that is secret."""

from __future__ import annotations

from typing import Any

from tests.support.clients.carriers import Tcp
from tests.support.clients.frame_client import CLIENTS, TRANSPORTS, FrameClient, open_frame
from tests.support.servers.uvicorn import Server

CREDENTIALS = "credentials-that-are-secret"


async def tour(first: Server, second: Server) -> tuple[set[str], set[str]]:
    """Open, resume and renew sessions over each transport, at their home and at an edge.

    Returns:
        The public ids of the sessions, and everything that is secret: tokens, nonces, credentials.
    """
    ids, secrets = set(), {CREDENTIALS}
    for transport in TRANSPORTS:
        for home, edge in ((first, second), (second, first)):
            frame = open_frame(credentials=f"{CREDENTIALS} of an open")
            client = CLIENTS[transport](Tcp(home.port, ""))
            opened = await client.open(frame)
            ids.add(opened["id"])
            secrets |= {frame["nonce"], client.token.partition(".")[2]}
            token = client.token
            await client.carrier.close()
            client.carrier = Tcp(edge.port, "")
            # The opening is repeated, and then the session is resumed.
            assert (await client.open({**frame, "attach": 2}))["session"] == token
            known = {"session": token, "epoch": opened["epoch"]}
            assert (await client.open({**frame, "attach": 3, **known}))["verdict"] == "resumed"
            await renew(client)
            await client.carrier.close()
    return ids, secrets


async def renew(client: FrameClient) -> None:
    """Send fresh credentials as the transport does, and by a POST."""
    renewal: dict[str, Any] = {"type": "renew", "credentials": f"{CREDENTIALS} of a renewal"}
    await client.confirm()
    await client.send(renewal, [1, 0, "echo 1"])
    assert await client.data() == ["echo 1"]
    answer = await client.post(renewal, [2, 1, "echo 2"], renewal)
    assert answer.status == 200, answer
    assert await client.data() == ["echo 2"]
