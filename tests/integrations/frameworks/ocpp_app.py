"""A central system for charging stations, by the library ocpp, below a hub.

``GET /report`` has the status notifications of each station.
"""

from __future__ import annotations

from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from transport import Hub, as_websocket

_stations: dict[str, list[Any]] = {}


class _Connection:
    """A WebSocket of Starlette, as ocpp expects one."""

    def __init__(self, websocket: WebSocket) -> None:
        self.recv = websocket.receive_text
        self.send = websocket.send_text


class _Station(ChargePoint):
    """What the central system does for one station."""

    @on("StatusNotification")
    async def on_status(self, connector_id: int, **_: Any) -> Any:
        _stations.setdefault(self.id, []).append(connector_id)
        return call_result.StatusNotification()

    @on("DataTransfer")
    async def on_data_transfer(self, **_: Any) -> Any:
        return call_result.DataTransfer(status="Accepted", data="taken")


async def _serve(websocket: WebSocket) -> None:
    await websocket.accept("ocpp1.6")
    station = _Station(websocket.path_params["name"], _Connection(websocket))
    try:
        await station.start()
    except WebSocketDisconnect as left:
        _stations[station.id].append({"left": left.code})


async def _report(_: Request) -> JSONResponse:
    return JSONResponse(_stations)


_hub = Hub(as_websocket(Starlette(routes=[WebSocketRoute("/{name}", _serve)])))

app = Starlette(
    routes=[Route("/report", _report), Mount("/stations", app=_hub)], lifespan=_hub.lifespan
)
