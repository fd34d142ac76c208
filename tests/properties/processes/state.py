"""`State`: the processes and clients of a world, and what clients may be told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from tests.properties.processes.application import Journal
from tests.properties.processes.client import ModelClient
from transport import Channel, Hub, Identity, Limits, codes
from transport.bus.workers import Workers
from transport.protocol.client.events import Closed, WasReset
from transport.protocol.frames import ResetReason
from transport.testing.cluster import Cluster
from transport.testing.process import Process

LIMITS = Limits(
    heartbeat=5, poll_hold=5, ttl=60, stream=20, drain_grace=2, drain_window=1, window_messages=8
)

ERROR = '{"type":"error"'
"""Begins the frame that refuses something."""

AFTERMATH = 6.0
"""Seconds after a fault in which a client may be told ``unavailable``: a call is answered in 3 s,
or given up; clients that were told to come again later are not told so by a process."""


class State:
    """Processes and clients.

    Args:
        source: of everything random.

    Attributes:
        journal: what the handlers have done.
        processes: the cluster.
        ending: the processes that shut down, or have, by their indices.
        most_delay: the most seconds that an item takes between processes.
    """

    def __init__(self, source: Random) -> None:
        self.random = source
        self.journal = Journal()
        self.clients: list[ModelClient] = []
        self.processes: Cluster
        self.ending: dict[int, asyncio.Task[None]] = {}
        self.most_delay = 0.0
        self._failures: list[AssertionError] = []
        self._made = 0
        self._last_fault = float("-inf")

    def make_hub(self, store: Workers) -> Hub:
        """Make the hub of the next process."""
        home, self._made = self._made, self._made + 1

        async def handle(channel: Channel) -> None:
            await self.journal.handle(hub, channel, home)

        async def authenticate(_: HTTPConnection, credentials: Any) -> Identity:
            return Identity(credentials, user=credentials)

        hub = Hub(handle, store=store, limits=LIMITS, name="model", authenticate=authenticate)
        return hub

    def delay(self) -> float:
        """Return the seconds that the next item takes between processes."""
        return self.random.uniform(0, self.most_delay)

    # What clients reach

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a random process serve a request, also one that is stopped."""
        alive = [each for each in self.everyone() if each.is_accepting]
        running = [each for each in alive if not each.is_stopped]
        among = alive if not running or self.random.random() < 0.1 else running

        async def watch(message: Message) -> None:
            text = message.get("body") or message.get("text") or b""
            text = text.decode() if isinstance(text, bytes) else text
            if (at := text.find(ERROR)) >= 0:
                with self.noting_failures():
                    self._check_error(json.JSONDecoder().raw_decode(text, at)[0])
            await send(message)

        if among:
            await self.random.choice(among)(scope, receive, watch)

    def _check_error(self, error: dict[str, Any]) -> None:
        assert error["code"] not in ("internal", "bad_frame", "gap", "window_exceeded"), error
        if error["code"] == "unavailable":
            assert self.is_disturbed, f"{error} without a fault"

    @property
    def aftermath(self) -> float:
        """Seconds after a fault in which a client may be told ``unavailable``."""
        return AFTERMATH

    @property
    def is_disturbed(self) -> bool:
        """Whether a fault happened just now, or a process is stopped."""
        now = asyncio.get_running_loop().time()
        return now - self._last_fault <= self.aftermath or any(
            each.is_stopped for each in self.alive()
        )

    def check_reset(self, client: ModelClient, event: WasReset) -> None:
        """Check the reason of a reset."""
        [index] = [
            index
            for index, process in enumerate(self.everyone())
            if any(client.session.startswith(bus.name) for bus in process._buses)
        ]
        home = self.processes[index]
        what = f"client {client.index} is told {event.reason} of a session at {home}"
        match event.reason:
            case ResetReason.RESTARTED:
                assert not home.is_alive, what
            case ResetReason.SHUTDOWN:
                assert index in self.ending, what
            case ResetReason.OVERFLOW:  # it missed a message for many, or had no room for one
                sends = self.journal.publications or self.journal.deliveries
                assert sends or self.is_disturbed, what
            case _:
                raise AssertionError(what)

    def check_closed(self, client: ModelClient, event: Closed) -> None:
        """Check why a channel ended."""
        what = f"client {client.index} was closed: {event}"
        assert event.code == codes.UNAUTHORIZED.close_code, what
        assert any(each.subject == client.credentials for each in self.journal.dismissals), what

    @contextmanager
    def noting_failures(self) -> Iterator[None]:
        """Keep what fails in a task or a callback."""
        try:
            yield
        except AssertionError as error:
            self._failures.append(error)

    def check(self) -> None:
        """Raise what has failed since."""
        if self._failures:
            raise self._failures[0]
        for client in self.clients:
            client.check()

    def everyone(self) -> list[Process]:
        """Return all processes that ever were."""
        return [self.processes[index] for index in range(len(self.processes))]

    def alive(self) -> list[Process]:
        """Return the processes that live."""
        return [each for each in self.everyone() if each.is_alive]

    def fault(self) -> None:
        """Note that a fault happens now."""
        self._last_fault = asyncio.get_running_loop().time()

    def open_clients(self) -> list[ModelClient]:
        """Return the clients that are not closed."""
        return [each for each in self.clients if each.closed is None]
