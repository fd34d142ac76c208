"""The application of a world of processes: its handler notes what it is given, and sends."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from transport import Channel


@dataclass
class Session:
    """What one handler has done.

    Attributes:
        id: of the session.
        home: the index of its process.
        handed: the messages that it was given, each ``[client, number, replies, delay]``.
        finished: how many of them it has finished with.
        sent: how many messages it has sent, each ``[id, number]``.
        pushes: how many messages it is to send on its own.
        is_over: whether it has returned, or was cancelled.
    """

    id: str
    home: int
    handed: list[Any] = field(default_factory=list)
    finished: int = 0
    sent: int = 0
    pushes: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    is_over: bool = False

    async def send(self, channel: Channel) -> None:
        """Send the next message."""
        self.sent += 1
        await channel.send([self.id, self.sent])


class Journal:
    """What all handlers have done.

    Attributes:
        sessions: by their ids.
        handed: the numbers that each client's messages were given in, over all sessions.
        finished: messages that a handler has finished with, as ``(client, number)``.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}
        self.handed: dict[int, deque[int]] = {}
        self.finished: set[tuple[int, int]] = set()

    async def handle(self, channel: Channel, home: int) -> None:
        """Serve a channel; the handler of the process ``home``."""
        assert channel.id not in self.sessions, f"session {channel.id} began twice"
        session = self.sessions[channel.id] = Session(channel.id, home)
        pushing = asyncio.create_task(self._push(session, channel))
        try:
            async for message in channel:
                client, number, replies, delay = message
                self._hand(session, client, number)
                if delay:
                    await asyncio.sleep(delay / 1000)
                for _ in range(replies):
                    await session.send(channel)
                session.finished += 1
                self.finished.add((client, number))
        finally:
            session.is_over = True
            pushing.cancel()

    async def _push(self, session: Session, channel: Channel) -> None:
        while True:
            for _ in range(await session.pushes.get()):
                await session.send(channel)

    def _hand(self, session: Session, client: int, number: int) -> None:
        """Check that nothing is handed out twice, or before what was sent earlier."""
        session.handed.append(number)
        handed = self.handed.setdefault(client, deque())
        last = handed[-1] if handed else 0
        assert number > last, f"message {number} of client {client} was handed out after {last}"
        handed.append(number)
