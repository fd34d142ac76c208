"""The scripts of applications that misbehave, below a hub.

Their outcome is that on uvicorn's own WebSocket (tests/integration/inner/test_misbehaviour.py), or
the script has another, and docs/existing-websocket.md names the difference.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.support.clients.frame_client import FrameClient, frame_client, open_frame
from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from tests.unit.server.inner.misbehaviour import SCRIPTS, Script, scripted, traces
from transport import Hub, as_websocket
from transport.testing import until


async def converse(client: FrameClient, script: Script) -> tuple[dict[str, Any], list[Any]]:
    """Send what the script has for the client; return the server's close, and its messages."""
    if script.client:
        await client.send([1, 0, *script.client])
    if script.closes is not None:
        last, code = len(script.client), script.closes
        await client.send(
            {"type": "close", "code": code, "reason": "", "by": "app", "last": last, "ack": 0}
        )
    received: list[Any] = []
    close: dict[str, Any] = {}
    while not close:
        frame = await client.frame()
        if isinstance(frame, bytes):
            received.append(frame[16:])  # after number and ack (DAT-2)
        elif isinstance(frame, list):
            received += frame[2:]
        elif frame["type"] == "close":
            close = frame
    return close, received


@pytest.mark.parametrize("has_target", [False, True], ids=["channel", "target"])
@pytest.mark.parametrize("name", SCRIPTS)
async def test_misbehaviour_below_a_hub(name: str, has_target: bool) -> None:
    script = SCRIPTS[name]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await scripted({**scope, "query_string": name.encode()}, receive, send)

    frame = open_frame(target={"subprotocols": []}) if has_target else open_frame()
    async with frame_client(Hub(as_websocket(app)), "websocket", frame) as client:
        await client.confirm()
        close, received = await converse(client, script)
    await until(lambda: len(traces[name]) == len(script.steps))
    assert traces.pop(name) == [
        script.hub.get(at, outcome) for at, outcome in enumerate(script.trace)
    ]
    end = script.hub_end or script.end
    if has_target:
        answer = received.pop(0)
        assert answer == ({"deny": end} if end < 600 else {"accept": None})
    if end < 600:
        status = re.fullmatch(r"denied with HTTP status (\d+)", close["reason"])
        has_failed = end == 500 and not has_target  # the open channel then ends as any that fails
        assert close["code"] == (1011 if has_failed else 1008)
        assert has_failed or (status and int(status[1]) == end)
    else:
        assert close["code"] == end
    assert received == script.received
