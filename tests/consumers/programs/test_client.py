"""Starlette's TestClient, as applications use it: over WebSocket, SSE's POST and a poll."""

import json

import pytest
from echo_app import app
from starlette.testclient import TestClient

from transport.testing import lines, opening


def test_websocket_echoes() -> None:
    with TestClient(app) as client, client.websocket_connect("/chat/websocket") as socket:
        socket.send_text(lines(opening()).decode().strip())
        assert json.loads(socket.receive_text())["verdict"] == "new"
        socket.send_text(json.dumps([1, 0, "hello"]))
        echo = json.loads(socket.receive_text())
        assert echo[2:] == ["hello"]


def test_poll_opens_session() -> None:
    with TestClient(app) as client:
        answer = client.post(
            "/chat/poll",
            content=lines(opening()),
            headers={"content-type": "application/x-ndjson"},
        )
        assert answer.status_code == 200
        assert json.loads(answer.text.splitlines()[0])["verdict"] == "new"


@pytest.mark.parametrize("name", ["client.js", "client.global.js", "reload.js"])
def test_browser_client_is_served(name: str) -> None:
    with TestClient(app) as client:
        answer = client.get(f"/chat/{name}")
        assert answer.status_code == 200
        assert "javascript" in answer.headers["content-type"]
