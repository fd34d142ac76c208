"""Many clients at once: the browser's client in Node, or the Python client in this process.

Node has no limit of six connections to a server, as a browser has for all its tabs, and no pacing
of its own, as Chromium has for WebSockets that fail. So the tests see what the client does by
itself. It is the built client, fetched from the server, on Node's own `fetch` and `WebSocket`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import anyio

from tests.support.conversation import ordinary
from tests.support.messages import same
from transport import SessionReset, connect
from transport.client import Channel

_PROGRAM = Path(__file__).with_name("fleet.mjs")
_LARGEST = 64 * 1024 * 1024
"""Limit of an answer, in bytes."""


class Clients(Protocol):
    """The interface that both kinds of fleet share."""

    async def call(self, name: str, argument: object = None, *, within: float = 60) -> Any:
        """Run a command.

        ``ask`` returns the errors of each client, and the seconds until everything had arrived.
        ``count`` returns how many events of a type, such as "reset", each client had.
        """


class Fleet:
    """The clients in one process of Node."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, name: str, argument: object = None, *, within: float = 60) -> Any:
        """Run a command of `fleet.mjs`.

        Raises:
            TimeoutError: there was no answer in time.
            RuntimeError: the command failed.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps([name, argument]).encode() + b"\n")
        with anyio.fail_after(within):
            await stdin.drain()
            line = await stdout.readline()
        reply = json.loads(line or '{"error": "Node has ended"}')
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply.get("answer")


@asynccontextmanager
async def fleet(urls: Iterable[str], every: float, **options: object) -> AsyncIterator[Fleet]:
    """Start a client at each of ``urls``, with a message every ``every`` seconds in each direction.

    Args:
        options: the options of each channel.
    """
    node = shutil.which("node")
    assert node is not None
    process = await asyncio.create_subprocess_exec(
        node,
        "--experimental-websocket",
        "--no-warnings",
        str(_PROGRAM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LARGEST,
        process_group=0,
    )
    try:
        one = Fleet(process)
        await one.call("start", {"urls": list(urls), "every": every, "options": options})
        yield one
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with anyio.CancelScope(shield=True), anyio.fail_after(30):
            await process.wait()


class PythonTalk:
    """A conversation like that of `conversation.js`, over a channel of the Python client."""

    def __init__(self, channel: Channel, every: float) -> None:
        self.channel = channel
        self.every = every
        self.sent = 0
        self.received = 0
        self.resets = 0
        self.wrong: list[str] = []
        self._asked = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def run(self) -> None:
        await self.channel.send({"every": self.every})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._produce)
            while True:
                try:
                    self._take(await self.channel.receive())
                except SessionReset:
                    self.resets += 1

    async def ask(self) -> dict[str, Any]:
        """Check that everything sent so far arrives once and in order, both ways."""
        started = time.monotonic()
        self._asked += 1
        asked, sent = self._asked, self.sent
        answer = self._answers[asked] = asyncio.get_running_loop().create_future()
        await self.channel.send({"ask": asked})
        theirs = await answer
        wrong = [*self.wrong, *theirs["wrong"]]
        if theirs["received"] != sent:
            wrong.append(f"the handler received {theirs['received']} of {sent} sent messages")
        if theirs["sent"] != theirs["here"]:
            wrong.append(
                f"received {theirs['here']} of {theirs['sent']} messages that the handler sent"
            )
        return {"wrong": wrong, "seconds": time.monotonic() - started}

    async def _produce(self) -> None:
        while True:
            await anyio.sleep(self.every)
            self.sent += 1
            await self.channel.send(ordinary(self.sent))

    def _take(self, message: Any) -> None:
        if isinstance(message, dict) and "answer" in message:
            self._answers[message["answer"]].set_result({**message, "here": self.received})
            return
        self.received += 1
        due = ordinary(self.received)
        if not same(due, message):
            self.wrong.append(f"expected {due!r:.100}, received {message!r:.100}")


class PythonFleet:
    """The Python clients in this process."""

    def __init__(self) -> None:
        self.talks: list[PythonTalk] = []

    async def call(self, name: str, argument: object = None, *, within: float = 60) -> Any:
        if name == "ask":
            with anyio.fail_after(within):
                return await asyncio.gather(*(talk.ask() for talk in self.talks))
        if argument == "reset":
            return [talk.resets for talk in self.talks]
        return [talk.channel.statistics().attaches - 1 for talk in self.talks]


@asynccontextmanager
async def python_fleet(
    urls: Iterable[str], every: float, transports: list[str]
) -> AsyncIterator[PythonFleet]:
    """Start a Python client at each of ``urls``, with a conversation like that of a `fleet`."""
    fleet = PythonFleet()

    async def one(url: str) -> None:
        async with connect(f"{url}/chat", transports=transports, trust_env=False) as channel:
            talk = PythonTalk(channel, every)
            fleet.talks.append(talk)
            await talk.run()

    expected = list(urls)
    async with anyio.create_task_group() as tasks:
        for url in expected:
            tasks.start_soon(one, url)
        with anyio.fail_after(60):
            while len(fleet.talks) < len(expected):  # noqa: ASYNC110 - no event announces it
                await anyio.sleep(0.05)
        yield fleet
        tasks.cancel_scope.cancel()
