"""A FastAPI application that answers the frames of the AI SDK's WebSocketChatTransport."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from tests.integrations.site import site

noted: list[object] = []
chat = FastAPI()


@chat.websocket("/")
async def answer(websocket: WebSocket) -> None:
    await websocket.accept()
    answers: dict[str, asyncio.Task[None]] = {}
    try:
        while True:
            match await websocket.receive_json():
                case {"type": "send", "requestId": str(request), "messages": [*_, question]}:
                    tokens = int(question["parts"][0]["text"])
                    answers[request] = asyncio.create_task(stream(websocket, request, tokens))
                case {"type": "abort", "requestId": str(request)}:
                    answers.pop(request).cancel()
                    noted.append("stop")
                case frame:
                    raise ValueError(frame)
    except WebSocketDisconnect:
        for task in answers.values():
            task.cancel()


async def stream(websocket: WebSocket, request: str, tokens: int) -> None:
    """Answer a request with a message of that many tokens."""
    await websocket.send_json({"type": "start", "requestId": request})
    deltas = ({"type": "text-delta", "id": "0", "delta": f"{one} "} for one in range(tokens))
    chunks = [
        {"type": "start"},
        {"type": "text-start", "id": "0"},
        *deltas,
        {"type": "text-end", "id": "0"},
        {"type": "finish"},
    ]
    for sequence, chunk in enumerate(chunks):
        frame: dict[str, Any] = {"requestId": request, "sequence": sequence, "chunk": chunk}
        await websocket.send_json({"type": "chunk", **frame})
        await asyncio.sleep(0.005)
    await websocket.send_json({"type": "end", "requestId": request})


app = site(chat, noted)
