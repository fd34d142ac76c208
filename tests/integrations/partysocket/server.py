"""A chat room as FastAPI documents it."""

from __future__ import annotations

from fastapi import FastAPI, WebSocket

from tests.integrations.site import site

endpoint = FastAPI()


@endpoint.websocket("/parties/main/{room}")
async def room(websocket: WebSocket, room: str) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"{room}: {text}")


app = site(endpoint)
