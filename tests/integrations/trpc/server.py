"""A Starlette endpoint that speaks tRPC's messages: https://trpc.io/docs/server/websockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.endpoints import WebSocketEndpoint
from starlette.websockets import WebSocket

from tests.integrations.site import site

noted: list[object] = []


class Procedures(WebSocketEndpoint):
    """Has the subscription ``count``, which streams numbers, and the mutation ``note``."""

    encoding = "text"

    async def on_connect(self, websocket: WebSocket) -> None:
        self.streams: dict[int, asyncio.Task[None]] = {}
        await websocket.accept()

    async def on_receive(self, websocket: WebSocket, data: str) -> None:
        batch = json.loads(data)
        for call in batch if isinstance(batch, list) else [batch]:
            match call:
                case {"method": "mutation", "id": number, "params": {"path": "note", "input": one}}:
                    noted.append(one)
                    await self.answer(websocket, number, type="data", data=one)
                case {"method": "subscription", "id": number, "params": {"input": to}}:
                    task = asyncio.create_task(self.count(websocket, number, to))
                    self.streams[number] = task
                case {"method": "subscription.stop", "id": number}:
                    if number in self.streams:
                        self.streams.pop(number).cancel()
                        await self.answer(websocket, number, type="stopped")
                case _:
                    raise ValueError(call)

    async def count(self, websocket: WebSocket, number: int, to: int) -> None:
        """Stream the numbers below ``to``."""
        await self.answer(websocket, number, type="started")
        for one in range(to):
            await self.answer(websocket, number, type="data", data=one)
            await asyncio.sleep(0.005)
        del self.streams[number]
        await self.answer(websocket, number, type="stopped")

    async def answer(self, websocket: WebSocket, number: int, **result: Any) -> None:
        """Send a result of the call with this number."""
        await websocket.send_json({"id": number, "result": result})

    async def on_disconnect(self, websocket: WebSocket, close_code: int) -> None:
        for task in self.streams.values():
            task.cancel()


app = site(Procedures, noted)
