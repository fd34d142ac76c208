"""A conversation of the Python client, for every way to run one."""

import asyncio
from pathlib import Path
from typing import Any

import transport
import transport.client
from transport.client import Channel, Pacing, connect

assert "site-packages" in Path(transport.__file__).parts
assert all(getattr(transport.client, name) for name in transport.client.__all__)
assert transport.__all__[-1] == "connect"
assert transport.connect is connect


async def converse(url: str, transport_name: str) -> None:
    """Talk to the echo server at ``url``, over a reconnect.

    Raises:
        AssertionError: an answer is wrong, a callback has raised, or a task is left.
    """
    failures: list[str] = []

    def report(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        failures.append(f"{context['message']}: {context.get('exception')!r}")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(report)
    others = asyncio.all_tasks()
    pacing = Pacing(open_timeout=20)
    async with asyncio.timeout(60):
        async with connect(url, transports=[transport_name], pacing=pacing) as channel:
            await _echoes(channel, {"text": "hello"})
            channel.reconnect()
            await _echoes(channel, b"after a reconnect")
            assert channel.transport == transport_name
        async with connect(url, transports=[transport_name], pacing=pacing) as channel:
            await channel.send("not awaited")
    await asyncio.sleep(0)  # callbacks of the last tasks
    assert asyncio.all_tasks() == others
    assert not failures, "\n".join(failures)


async def _echoes(channel: Channel, message: object) -> None:
    await channel.send(message)
    assert await channel.receive() == message
