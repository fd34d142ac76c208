"""The Python client under each way to run a program: `converse.py TRANSPORT URL`."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import anyio

import transport
import transport.client
from transport.client import Channel, Pacing, connect

assert "site-packages" in Path(transport.__file__).parts
assert all(getattr(transport.client, name) for name in transport.client.__all__)
assert transport.__all__[-1] == "connect"
assert transport.connect is connect

TRANSPORT, URL = sys.argv[1:]
_failures: list[str] = []


def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Record an exception that no task has seen, such as that of a callback."""
    _failures.append(f"{context['message']}: {context.get('exception')!r}")


async def echoes(channel: Channel, message: object) -> None:
    await channel.send(message)
    assert await channel.receive() == message


async def converse() -> None:
    asyncio.get_running_loop().set_exception_handler(report)
    async with asyncio.timeout(60):
        async with connect(URL, transports=[TRANSPORT], pacing=Pacing(attempt=20)) as channel:
            await echoes(channel, {"text": "hello"})
            channel.reconnect()
            await echoes(channel, b"after a reconnect")
            assert channel.transport == TRANSPORT
        async with connect(URL, transports=[TRANSPORT]) as channel:
            await channel.send("not awaited")
    # Callbacks of what was closed.
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


asyncio.run(converse())
asyncio.run(converse(), debug=True)
anyio.run(converse)
assert not _failures, "\n".join(_failures)
