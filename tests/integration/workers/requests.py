"""Single requests to the workers of a server."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.support.clients.frame_client import encode
from tests.support.clients.members import DEADLINE
from tests.support.servers.uvicorn import Server


async def ask(server: Server, segment: str, *frames: dict[str, Any]) -> tuple[int, list[Any]]:
    """Send a POST on a connection of its own, which any worker may accept that is not stopped.

    Returns:
        The status, and the frames of the answer.
    """
    headers = {"content-type": "application/x-ndjson"}
    async with httpx.AsyncClient(
        trust_env=False, verify=False, timeout=DEADLINE, headers=headers
    ) as client:
        answer = await client.post(f"{server.url}/{segment}", content=encode(*frames))
    return answer.status_code, [json.loads(line) for line in answer.text.splitlines()]
