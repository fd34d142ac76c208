"""The name of a wrapped application, and of a hub's handler: in reprs and in the log."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import Mount, Router, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from tests.unit.server.inner.recorder import ACCEPT, end_of
from transport import Channel, Hub, as_websocket
from transport.testing import drive


async def chat(scope: Scope, receive: Receive, send: Send) -> None:
    await send({**ACCEPT, "headers": [(b"x", b"y")]})
    await send({"type": "websocket.close"})


async def room(websocket: WebSocket) -> None:
    raise AssertionError(websocket)


class Room:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError


class Endpoint(WebSocketEndpoint):
    pass


async def _local() -> Any:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    return inner


@pytest.mark.parametrize(
    ("app", "name"),
    [
        (chat, "chat"),
        (partial(chat), "chat"),
        (partial(partial(Room())), "Room"),
        (Room(), "Room"),
        (Room().serve, "Room.serve"),
        (Endpoint, "Endpoint"),
        (WebSocketRoute("/", room), "room"),
        (WebSocketRoute("/", room, name="lobby"), "lobby"),
        (Mount("/x", routes=[]), "Mount"),  # its name is empty
        (Router(), "Router"),
        (Starlette(), "Starlette"),
        (FastAPI(), "FastAPI"),
        (FastAPI(title="Rooms"), "Rooms"),
    ],
)
def test_wrapped_application_has_its_name(app: Any, name: str) -> None:
    handler = as_websocket(app)
    assert handler.__name__ == name
    assert repr(handler) == f"as_websocket({name})"
    assert repr(Hub(handler)) == f"<Hub {name}>"


async def test_nested_function_has_its_own_name() -> None:
    assert as_websocket(await _local()).__name__ == "inner"


def test_hub_shows_name_of_its_handler() -> None:
    class Bot:
        async def __call__(self, channel: Channel) -> None:
            raise AssertionError

        async def talk(self, channel: Channel, rate: int = 1) -> None:
            raise AssertionError

    assert repr(Hub(Bot())) == "<Hub Bot>"
    assert repr(Hub(partial(Bot().talk, rate=2))) == "<Hub Bot.talk>"


async def test_log_names_the_wrapped_application(caplog: pytest.LogCaptureFixture) -> None:
    async with drive(Hub(as_websocket(chat))) as page:
        assert await end_of(page) == (1000, "")
    [record] = [one for one in caplog.records if vars(one).get("event") == "not_carried"]
    assert vars(record)["app"] == "chat"
