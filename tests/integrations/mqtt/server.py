"""A small server of MQTT 3.1.1, which sends each publication back to the client that sent it."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.routing import Router, WebSocketRoute
from starlette.websockets import WebSocket

from tests.integrations.site import site


def _take_packets(stream: bytearray) -> Iterator[tuple[int, bytes]]:
    """Remove the packets that are complete. Yield the type and the body of each."""
    # The page's packets are short: their length has one byte.
    while len(stream) >= 2 and len(stream) >= 2 + stream[1]:
        end = 2 + stream[1]
        packet = bytes(stream[:end])
        del stream[:end]
        yield packet[0] >> 4, packet[2:]


def _answers(type_: int, body: bytes) -> Iterator[bytes]:
    match type_:
        case 1:  # CONNECT: CONNACK
            yield b"\x20\x02\x00\x00"
        case 3:  # PUBLISH, of quality 1: PUBACK, and the same of quality 0
            end = 2 + int.from_bytes(body[:2], "big")
            topic, number, payload = body[:end], body[end : end + 2], body[end + 2 :]
            yield b"\x40\x02" + number
            yield bytes([0x30, len(topic + payload)]) + topic + payload
        case 8:  # SUBSCRIBE, to one topic: SUBACK
            yield b"\x90\x03" + body[:2] + b"\x00"
        case 12:  # PINGREQ: PINGRESP
            yield b"\xd0\x00"
        case _:
            pass


async def _broker(websocket: WebSocket) -> None:
    await websocket.accept("mqtt")
    stream = bytearray()
    async for data in websocket.iter_bytes():
        stream += data
        for type_, body in _take_packets(stream):
            for answer in _answers(type_, body):
                await websocket.send_bytes(answer)


app = site(Router([WebSocketRoute("/mqtt", _broker)]))
