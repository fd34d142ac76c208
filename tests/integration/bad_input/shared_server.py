"""One server for all bad inputs, its bystanders, and the checks after each input."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.integration.bad_input.offender import Offender, offender
from tests.support.clients.tcp_client import DEADLINE, request_bytes, tcp_client
from tests.support.servers.uvicorn import Server, serving
from transport.codes import CODES

_ROOT = Path(__file__).parents[3]
_WORDS = re.compile(r"[A-Za-z0-9_]{4,}")
VOCABULARY = set(_WORDS.findall((_ROOT / "PROTOCOL.md").read_text("utf-8")))
"""Words of the protocol, which a message may contain although the input has them too."""

FIELDS = {"type", "code", "message", "number", "expected", "attach", "client", "retry_in"} | {
    "limit",
    "versions",
}
"""The fields of an ``error`` frame."""


class SharedServer:
    """A server, and sessions on it that no bad input may disturb.

    Attributes:
        bystanders: the sessions, over WebSocket and over an event stream.
        first: the report from before the first bad input.
    """

    def __init__(self, server: Server, bystanders: tuple[Offender, ...]) -> None:
        self.server = server
        self.bystanders = bystanders
        self.first: dict[str, Any] = {}
        self._trips = 0

    @property
    def port(self) -> int:
        return self.server.port

    async def report(self) -> dict[str, Any]:
        """Return the resources that the server's process holds."""
        async with tcp_client(self.port) as wire:
            await wire.write(request_bytes("GET", "/report"))
            report: dict[str, Any] = (await wire.answer("GET")).frames[0]
            return report

    async def opened(self, mount: str = "/chat") -> int:
        """Return how many sessions were ever opened on this hub."""
        return int((await self.report())["opened"][mount.strip("/")])

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Wait until the report satisfies the condition."""
        async with asyncio.timeout(DEADLINE):
            while not condition(await self.report()):  # noqa: ASYNC110 - no event announces it
                await asyncio.sleep(0.02)

    async def until_released(self, before: dict[str, Any]) -> None:
        """Wait until the process has no more tasks and descriptors than in the report ``before``.

        Detached sessions wait for their clients, each with the task of its handler.
        """

        def is_released(now: dict[str, Any]) -> bool:
            sessions = sum(now["sessions"].values()) - sum(before["sessions"].values())
            return bool(
                now["descriptors"] <= before["descriptors"]
                and now["tasks"] - sessions <= before["tasks"]
            )

        await self.until(is_released)

    async def until_session_ended(self, mount: str, channel: str) -> None:
        """Wait until a session has ended."""
        await self.until(lambda now: channel not in now["channels"][mount.strip("/")])

    async def expect_traceback(self, first: str, last: str) -> None:
        """Wait for a traceback that the server itself logs, and remove it from the log."""
        log = self.server.log
        async with asyncio.timeout(DEADLINE):
            while not (log and log[-1].startswith(last)):  # noqa: ASYNC110 - see above
                await asyncio.sleep(0.02)
        begin = max(index for index, line in enumerate(log) if first in line)
        del log[begin:]

    async def check_bystanders(self) -> None:
        """Check that the bystanders go on, and that the log has no errors."""
        self._trips += 1
        for bystander in self.bystanders:
            await bystander.exchange(f"trip {self._trips}")
            assert len(bystander.messages) == self._trips + 1
        log, bad = list(self.server.log), self.server.complaints
        self.server.log.clear()  # so that each complaint is reported once
        assert not bad, "\n".join(log)


@asynccontextmanager
async def shared_servers() -> AsyncIterator[SharedServer]:
    async with (
        serving("tests.integration.bad_input.apps:app", "--no-access-log") as server,
        offender("websocket", server.port) as one,
        offender("sse", server.port) as two,
    ):
        for bystander in (one, two):  # so that their windows never fill
            bystander.acknowledges = True
        shared = SharedServer(server, (one, two))
        shared.first = await shared.report()
        yield shared


def check_clear(frame: dict[str, Any], code: str, given: bytes, *secrets: str) -> None:
    """Check that the frame is an ``error`` with this code, and explains it without echoing input.

    Args:
        given: the input; the message may contain no word of it, except words of the protocol.
        secrets: texts that must not be anywhere in the frame.
    """
    assert (frame["type"], frame["code"]) == ("error", code), frame
    assert code in CODES
    assert set(frame) <= FIELDS
    message = frame["message"]
    assert len(message.split()) >= 3, message
    assert len(message) <= 200, message
    assert message.isascii(), message
    repeated = {word.decode() for word in re.findall(_WORDS.pattern.encode(), given)} - VOCABULARY
    used = set(_WORDS.findall(message))
    assert not repeated & used, message
    for secret in secrets:
        assert secret not in str(frame)
