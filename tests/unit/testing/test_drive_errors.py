"""What `drive` says about a channel that does not open: the status, and what to check."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from tests.support.turned_clock import anyio_backend  # noqa: F401 - a fixture
from transport import Channel, Hub, Identity
from transport.testing import drive

TRANSPORTS = ["websocket", "sse", "longpoll"]


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


def mounted() -> ASGIApp:
    return Starlette(routes=[Mount("/live", app=Hub(echo))])


def routed() -> ASGIApp:
    return Starlette(routes=[Route("/live", Hub(echo))])


def prefixed() -> ASGIApp:
    router = APIRouter(prefix="/api")
    router.mount("/live", Hub(echo))
    app = FastAPI()
    app.include_router(router)
    return app


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("app", "path"), [(mounted, "/lvie"), (routed, "/live"), (prefixed, "/api/live")]
)
async def test_wrong_path_is_explained(app: Any, path: str, transport: str) -> None:
    with pytest.raises(TimeoutError, match=r"^the channel did not open in 5\.0 s: ") as caught:
        async with drive(app(), path, transport=transport):
            pass
    segment = "poll" if transport == "longpoll" else transport
    text = str(caught.value)
    assert f"{path}/{segment}" in text
    assert "404" in text
    assert "Check the path" in text
    assert "mount" in text


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_refusal_of_hub_is_told_with_its_reason(transport: str) -> None:
    async def broken(connection: HTTPConnection, credentials: Any) -> Identity:
        raise OSError("secret detail")

    hub = Hub(echo, authenticate=broken)
    with pytest.raises(TimeoutError, match="did not open") as caught:
        async with drive(hub, transport=transport):
            pass
    text = str(caught.value)
    assert "unavailable: the server could not check the credentials: its log says why" in text
    assert "secret detail" not in text
    assert "Check the path" not in text


async def test_fastapi_router_does_not_prefix_its_mounts() -> None:
    """docs/hosts.md, "How to mount it"."""
    async with drive(prefixed(), "/live") as page:
        await page.send("hello")
        assert await page.receive() == "hello"


async def test_error_of_opened_page_does_not_repeat_old_refusal() -> None:
    async with drive(mounted(), "/live") as page:
        with pytest.raises(TimeoutError, match=r"^no message arrived in 1 s$"):
            await page.receive(within=1)


async def test_unknown_transport_is_refused_with_names() -> None:
    names = r"^transport must be one of websocket, sse, longpoll, not 'ws'$"
    with pytest.raises(ValueError, match=names):
        async with drive(Hub(echo), transport="ws"):
            pass
    async with drive(Hub(echo)) as page:
        with pytest.raises(ValueError, match=names):
            page.transport = "ws"
