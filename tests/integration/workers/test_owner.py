"""The worker that numbers a group's messages dies, and others come, while members publish."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from pathlib import Path

import pytest

from tests.integration.workers.conftest import IS_FULL, REPLACING
from tests.support.clients.members import DEADLINE, Member, members
from tests.support.servers.uvicorn import Server
from transport.bus.ranks import ranked

ROUNDS = 5 if IS_FULL else 1
COUNT_OF_EACH = 10 if IS_FULL else 4
MESSAGES = 20 if IS_FULL else 10
"""Published by each member at least, after the changes."""


def owner_of(topic: bytes, directory: Path) -> int:
    """Return the process id of the worker that owns a topic."""
    sockets = {path.stem: path for path in directory.rglob("*.sock")}
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(str(sockets[ranked(topic, sockets)[0]]))
        credentials = one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, _, _ = struct.unpack("3i", credentials)
    return int(pid)


async def publish(member: Member, is_over: asyncio.Event) -> None:
    while not is_over.is_set():
        await member.say()
    for _ in range(MESSAGES):
        await member.say()


@pytest.mark.parametrize("server", REPLACING, indirect=True, scope="module")
async def test_group_survives_its_owner_and_new_workers(server: Server, place: Path) -> None:
    """Each message of a living member reaches each living member once."""
    for turn in range(ROUNDS):
        async with (
            members(f"{server.url}/", COUNT_OF_EACH, first=100 * turn) as crowd,
            asyncio.timeout(DEADLINE),
        ):
            owner = owner_of(b"g/room", place)
            victims = [member for member in crowd if member.pid == owner]
            others = [member for member in crowd if member.pid != owner]
            is_over = asyncio.Event()
            publishing = asyncio.gather(*[publish(member, is_over) for member in others])
            await asyncio.gather(*[member.until_heard_of(others) for member in others])
            started = sum(server.host.ready in line for line in server.log)
            os.kill(owner, signal.SIGKILL)
            os.kill(server.pid, signal.SIGTTIN)  # one more worker
            await server.until_log(server.host.ready, started + 2)
            is_over.set()
            await publishing
            for member in others:
                for other in others:
                    await member.until_heard(other)
                assert member.resets == []
            for member in victims:
                await member.until(lambda member=member: member.resets)  # type: ignore[misc]
                assert member.resets == ["restarted"]
