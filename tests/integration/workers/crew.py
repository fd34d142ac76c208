"""Supervisors whose workers join the others of their hub, and say which they meet.

python -m tests.integration.workers.crew '[[{"label": "chat", "hub": "app:chat"}]]'

Each worker writes lines of JSON, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from transport import Limits
from transport.bus.interface import Pipe
from transport.bus.items import Item
from transport.bus.workers import Workers


class Log:
    """A receiver that says which workers joined."""

    def __init__(self, label: str) -> None:
        self._label = label

    def say(self, **what: str) -> None:
        line = json.dumps({"label": self._label, **what}) + "\n"
        os.write(1, line.encode())  # whole, also beside those of the others

    def received(self, pipe: Pipe, item: Item) -> None:
        pass

    def opened(self, pipe: Pipe) -> None:
        pass

    def ended(self, pipe: Pipe) -> None:
        pass

    def joined(self, name: str) -> None:
        self.say(met=name)

    def left(self, name: str) -> None:
        pass


async def work(log: Log, hub: str, directory: str | None) -> None:
    try:
        bus = Workers(directory).join(hub, Limits()).bus
    except RuntimeError as error:
        log.say(refused=str(error))
        return
    await bus.start(log)
    log.say(name=bus.name, path=str(bus.directory.path))  # type: ignore[attr-defined]
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, stopped.set)
    await stopped.wait()
    bus.stop()


def run(
    label: str, hub: str, cwd: str = ".", uid: int | None = None, named: str | None = None
) -> None:
    os.chdir(cwd)
    if uid is not None:
        os.setgid(uid)
        os.setuid(uid)
    asyncio.run(work(Log(label), hub, named))


def supervise(*workers: dict[str, Any]) -> None:
    fork_all([functools.partial(run, **worker) for worker in workers])


def fork_all(works: Sequence[Callable[[], None]]) -> None:
    """Run each function in a child process, and wait for all."""
    children = []
    for work in works:
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":
    fork_all([functools.partial(supervise, *workers) for workers in json.loads(sys.argv[1])])
