"""Hostile clients take a bounded amount of memory, and nothing from others (section 12).

Many sessions of one address have the largest headers, send the messages that take most memory, and
never read; many sockets send compressed bombs before any ``open``. They send one after the other,
as fast as the server lets the witness go on: what a server has received of frames that it did not
hand over yet is not ours to bound. The short form runs with every
test. The campaign (``make campaign``) has 1,000 sessions, 200 sockets and 256 MiB.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import zlib
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx

from tests.support.clients.tcp_client import TEXT, TcpClient, TcpWebSocket, request_bytes
from tests.support.servers.uvicorn import serving
from transport import Limits, connect
from transport.client.channel import Channel
from transport.testing import lines, opening

MIB = 1024 * 1024
SESSIONS = int(os.environ.get("HOSTILE_SESSIONS", "100"))
SOCKETS = int(os.environ.get("HOSTILE_SOCKETS", "20"))
MEMORY = int(os.environ.get("HOSTILE_MEMORY", "64")) * MIB
GROWTH = MEMORY + 44 * MIB
"""Bytes by which the process may grow at most: the bound, and what the host and Python take."""

SETTINGS = ("--ws-per-message-deflate", "false", "--ws-max-size", "1048576")
"""What docs/hosts.md advises for uvicorn."""

ATTEMPT = 30.0
"""Seconds after which an attacker stops to wait for the server, which may not read any more."""

WITHIN = 120.0
"""Seconds for each wait of the witness: the attackers' messages take long to decode."""

HOSTILE_ADDRESS = "127.0.0.2"
ROOM = Limits().message - 16


def _list_of(item: str) -> str:
    return f"[{','.join([item] * (ROOM // (len(item) + 1)))}]"


WORST = (
    _list_of("[]"),
    _list_of('{"":{}}'),
    '"😀' + "x" * (ROOM - 8) + '"',
    _list_of('"ab"'),
)
"""The messages that take most memory for their size, of the largest size."""

HEADERS = (
    (("cookie", "x" * 7_500), ("x-large", "x" * 7_500)),  # uvicorn takes 8 KiB in a line
    tuple((f"x-{number:03}", "y" * 100) for number in range(110)),
)
"""Headers that are just accepted: few large ones, and many small ones."""


def _bomb() -> bytes:
    """Return 200 MiB of spaces as permessage-deflate packs them (RFC 7692): 200 kB."""
    packer = zlib.compressobj(9, wbits=-15)
    return (packer.compress(b" " * (200 * MIB)) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


BOMB = _bomb()


class Refused(Exception):
    """The server refused a part of the attack."""


T = TypeVar("T", bound=TcpClient)


class Attack:
    """Connections of one address to the server.

    Args:
        port: the server's.

    Attributes:
        opened: how many sessions were opened.
        sent: how many messages were written to the server.
    """

    def __init__(self, port: int) -> None:
        self.opened = 0
        self.sent = 0
        self._port = port
        self._turns = asyncio.Semaphore(0)
        self._connections: list[TcpClient] = []

    async def session(self, number: int) -> None:
        """Open a session, over WebSocket or a stream, and fill its windows."""
        message = WORST[number % len(WORST)]
        headers = HEADERS[number // len(WORST) % len(HEADERS)]
        if number % 3:
            await self._websocket(message, headers)
        else:
            await self._stream(message, headers)

    async def socket(self) -> None:
        """Open a WebSocket, and send a compressed bomb as its first frame."""
        wire = await self._connect(TcpWebSocket)
        await wire.handshake(
            "/chat/websocket", **{"sec-websocket-extensions": "permessage-deflate"}
        )
        await wire.put(BOMB, TEXT, reserved=4)

    async def attempt(self, part: Coroutine[Any, Any, None]) -> None:
        """Run a part of the attack, until the server ends it or stops reading."""
        with suppress(ConnectionError, EOFError, Refused), anyio.move_on_after(WITHIN):
            await part

    def begin(self) -> None:
        """Let one more of the sessions that have opened send."""
        self._turns.release()

    def leave(self) -> None:
        """End all connections abruptly."""
        for connection in self._connections:
            connection.abort()

    async def _websocket(self, message: str, headers: Any) -> None:
        wire = await self._connect(TcpWebSocket)
        if (await wire.handshake("/chat/websocket", **dict(headers))).status != 101:
            raise Refused
        await wire.put(json.dumps(_open(), separators=(",", ":")).encode())
        opened = await wire.get()
        if not isinstance(opened, dict) or opened["type"] != "opened":
            raise Refused
        self.opened += 1
        await wire.put(b'{"type":"ack","ack":0}')
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await self._turns.acquire()
        for number in range(1, 6):
            await wire.put(f"[{number},0,{message}]".encode())
            self.sent += 1

    async def _stream(self, message: str, headers: Any) -> None:
        wire = await self._connect(TcpClient)
        frame = _open()
        await wire.write(request_bytes("POST", "/chat/sse", lines(frame), extra=headers))
        head = await wire.head()
        if head.status != 200:
            raise Refused
        opened = await anext(wire.events())
        self.opened += 1
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await self._turns.acquire()
        posts = await self._connect(TcpClient)
        send = {
            "type": "send",
            "session": opened["session"],
            "client": frame["client"],
            "attach": 1,
        }
        for number in range(1, 6):
            body = lines(send) + f"[{number},0,{message}]".encode()
            await posts.write(request_bytes("POST", "/chat/send", body))
            self.sent += 1
            if (await posts.answer()).status != 200:
                raise Refused

    async def _connect(self, kind: type[T]) -> T:
        """Connect from the hostile address, with a small buffer of the kernel."""
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.setblocking(False)
        plain.bind((HOSTILE_ADDRESS, 0))
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", self._port))
        connection = kind(*await asyncio.open_connection(sock=plain), deadline=None)
        self._connections.append(connection)
        return connection


def _open() -> dict[str, Any]:
    return opening(client=secrets.token_urlsafe(16), nonce=secrets.token_urlsafe(24))


def memory_of(pid: int, field: str) -> int:
    """Return a field of a process's status, in bytes: VmRSS now, VmHWM at most so far."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(field)


class Witness:
    """A client of another address, whose messages are echoed all the while.

    Attributes:
        echoed: how many came back, in order.
    """

    def __init__(self, channel: Channel) -> None:
        self.echoed = 0
        self._channel = channel
        self._stops = False
        self._echoed = asyncio.Event()

    async def run(self) -> None:
        """Exchange messages until `stop`; any loss, repetition or reset raises."""
        number = 0
        while not self._stops:
            batch = [{"number": number + more, "text": "é" * 20} for more in range(3)]
            number += 3
            for message in batch:
                await self._channel.send(message)
            for message in batch:
                assert await self._channel.receive() == message
                self.echoed += 1
                self._echoed.set()

    async def until_echoed(self, more: int) -> None:
        """Wait until that many more messages have come back."""
        goal = self.echoed + more
        with anyio.fail_after(WITHIN):
            while self.echoed < goal:
                self._echoed.clear()
                await self._echoed.wait()

    def stop(self) -> None:
        self._stops = True


async def test_hostile_clients_take_bounded_memory(record_property: Any) -> None:
    """Section 12, OPN-10: and a witness loses nothing and goes on."""
    async with (
        serving("tests.integration.limits.apps:echoing", *SETTINGS) as server,
        connect(f"{server.url}/chat") as channel,
        httpx.AsyncClient() as http,
    ):
        attack, witness = Attack(server.port), Witness(channel)
        talking = asyncio.create_task(witness.run())
        await witness.until_echoed(100)
        before, echoed = memory_of(server.pid, "VmRSS"), witness.echoed
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(SOCKETS):
                    group.create_task(attack.attempt(attack.socket()))
                for number in range(SESSIONS):
                    group.create_task(attack.attempt(attack.session(number)))
                    await asyncio.sleep(1 / 40)  # below Limits(opens_per_second=50)
                for _ in range(SESSIONS):
                    attack.begin()
                    await witness.until_echoed(1)
            during = witness.echoed - echoed
            await witness.until_echoed(100)
        finally:
            attack.leave()
        witness.stop()
        await talking
        grown = memory_of(server.pid, "VmHWM") - before
        counted = (await http.get(f"{server.url}/statistics")).json()
        figures = {
            "opened": attack.opened,
            "messages": attack.sent,
            "grown_mib": round(grown / MIB, 1),
            "echoed_during": during,
            "counted": counted,
        }
        record_property("figures", figures)
        print(figures)  # noqa: T201 - shown by pytest
        assert grown <= GROWTH, figures
        assert counted["memory_reached"] > 0, figures
        assert during > 0, figures
