"""The servers that the suite runs, with their abilities and limitations: docs/hosts.md."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import anyio

from tests.support.servers.uvicorn import GRANIAN, HYPERCORN, UVICORN, Host, Server, serving


@dataclass(frozen=True, slots=True)
class Variant:
    """A host with its options.

    Attributes:
        host: the program.
        options: its arguments.
        prefix: the option that precedes a ``root_path``.
        prefix_in_path: whether ``scope["path"]`` then begins with the prefix.
        cuts_websockets: whether SIGTERM may cut a WebSocket before its last frame was sent.
    """

    host: Host
    options: str = ""
    prefix: str = "--root-path"
    prefix_in_path: bool = False
    cuts_websockets: bool = False

    def serving(
        self, app: str, *arguments: str, clean: bool = True
    ) -> AbstractAsyncContextManager[Server]:
        return serving(
            f"tests.integration.hosts.apps:{app}",
            *(*self.options.split(), *arguments),
            host=self.host,
            clean=clean,
        )


def _uvicorn(ws: str, http: str, loop: str) -> Variant:
    return Variant(
        UVICORN,
        f"--ws {ws} --http {http} --loop {loop} --no-access-log",
        prefix_in_path=True,
    )


# While clients are connected, each host waits longer than `Server.stop` does for connections that
# do not end by themselves: uvicorn and granian for ever, hypercorn for its graceful timeout.
# Each option of uvicorn is combined with each other option at least once.
VARIANTS = {
    "uvicorn-sansio-httptools-uvloop": _uvicorn("websockets-sansio", "httptools", "uvloop"),
    "uvicorn-sansio-h11-asyncio": _uvicorn("websockets-sansio", "h11", "asyncio"),
    "uvicorn-wsproto-httptools-asyncio": _uvicorn("wsproto", "httptools", "asyncio"),
    "uvicorn-wsproto-h11-uvloop": _uvicorn("wsproto", "h11", "uvloop"),
    "hypercorn-asyncio": Variant(HYPERCORN, "--graceful-timeout 300"),
    "hypercorn-uvloop": Variant(HYPERCORN, "--graceful-timeout 300 --worker-class uvloop"),
    "granian": Variant(GRANIAN, prefix="--url-path-prefix", cuts_websockets=True),
}


async def eventually(holds: Callable[[], Awaitable[bool]], within: float = 30) -> None:
    """Poll until the condition holds.

    Raises:
        TimeoutError: it did not hold within ``within`` seconds.
    """
    with anyio.fail_after(within):
        while True:
            if await holds():
                return
            await anyio.sleep(0.01)
