"""A text frame that is not UTF-8, on every host: RFC 6455 lets none through (section 8.1).

What reaches the client, and whether the host logs a traceback of its own, depends on the host. Our
code logs nothing, and the session lives.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import transport
from tests.integration.hosts.hosts import VARIANTS, Variant
from tests.support.clients.frame_client import CLIENT, open_frame
from tests.support.clients.tcp_client import TEXT, Closed, TcpWebSocket, tcp_websocket

PATH = "/mounted/websocket"
OURS = Path(transport.__file__).parent
"""What a traceback of our code would name."""


async def begin(socket: TcpWebSocket, **fields: object) -> dict[str, object]:
    """Open a session, or resume one, and confirm the attach."""
    await socket.put(json.dumps(open_frame(client=CLIENT, **fields)).encode())
    opened: dict[str, object] = await socket.get()
    await socket.put(b'{"type":"ack","ack":0}')
    return opened


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=list(VARIANTS))
async def test_text_that_is_not_utf8_keeps_session(variant: Variant) -> None:
    """CLS-6: the connection ends, the session does not; nothing of the frame is taken."""
    async with variant.serving("app", clean=False) as server:
        async with tcp_websocket(server.port, PATH) as socket:
            opened = await begin(socket, attach=1)
            await socket.put(b'[1,0,"before"]')
            while not isinstance(frame := await socket.get(), list):
                assert frame["type"] == "ack"
            await socket.put(b'[2,1,"\xff"]', TEXT)
            while not isinstance(frame := await socket.get(), Closed):
                assert not isinstance(frame, list)
            assert frame.code in (None, 1007)  # hardly a host says why
        async with tcp_websocket(server.port, PATH) as socket:
            resumed = await begin(
                socket, attach=2, session=opened["session"], received=1, first_retained=2
            )
            assert (resumed["verdict"], resumed["received"]) == ("resumed", 1)
            await socket.put(b'[2,1,"after"]')
            while not isinstance(frame := await socket.get(), list):
                assert frame["type"] == "ack"
            assert frame[2:] == ["after"]
        assert not [line for line in server.log if str(OURS) in line]
