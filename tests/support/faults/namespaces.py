"""A private network for a test: a client machine and a server machine, connected by a cable.

Both are network namespaces of Linux. Changes to addresses, links and packets there affect nothing
outside, and nothing inside can reach out. A real Chromium and a real server run inside.

    async with network() as net, server_in(net, "tests.support.conversation:app") as url:
        async with chromium_in(net) as browser:
            net.cable.loss = 0.05
            await net.change_address("192.0.2.3")
"""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from playwright.async_api import Browser, async_playwright

from tests.support.browsers.chromium import CHROMIUM, CHROMIUM_FLAGS
from tests.support.faults.packet_loss import Cable, tun
from tests.support.servers.uvicorn import UVICORN, Host, Server

NOT_RUN = "NOT RUN: no network namespaces"
"""The beginning of the reason of a skipped test; the result of `why_not` follows."""

_PREFIX = "onechannel"
_CLIENT = "192.0.2.2"
_SERVER = "192.0.2.1"
_DEVICE = "cable"
_ENDS_WITHIN = 10.0
_numbers = itertools.count(1)


def why_not() -> str | None:
    """Return the missing requirement for a network namespace, or None."""
    if sys.platform != "linux":
        return "they are Linux's"
    if shutil.which("ip") is None:
        return "no program `ip` (Debian: iproute2)"
    if os.geteuid() != 0:
        return "only root can create network namespaces"
    name = _name("probe")
    try:
        os.close(tun(f"p{os.getpid()}"))
    except OSError as error:
        return f"no TUN device: {error}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode == 0:
        made = subprocess.run(
            ["ip", "netns", "exec", name, "true"], capture_output=True, text=True, check=False
        )
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return made.stderr.strip() or None if made.returncode else None


@dataclass(frozen=True, slots=True)
class Network:
    """Two machines and the cable between them.

    Attributes:
        client: the name of the client's namespace.
        server: the name of the server's namespace.
        cable: the cable between them.
    """

    client: str
    server: str
    cable: Cable

    async def unplug(self) -> None:
        """Take the client's link down; its machine notices."""
        await _ip("-n", self.client, "link", "set", _DEVICE, "down")

    async def plug_in(self) -> None:
        await _ip("-n", self.client, "link", "set", _DEVICE, "up")

    async def change_address(self, address: str) -> None:
        """Give the client another address, as in another network."""
        await _ip("-n", self.client, "addr", "flush", "dev", _DEVICE)
        await _ip("-n", self.client, "addr", "add", f"{address}/24", "dev", _DEVICE)


@asynccontextmanager
async def network(*, seed: int = 1) -> AsyncIterator[Network]:
    """Create two namespaces with a cable between them while the block runs."""
    await _remove_left()
    client, server = _name("cli"), _name("srv")
    try:
        ends = []
        for namespace, address in ((client, _CLIENT), (server, _SERVER)):
            await _ip("netns", "add", namespace)
            await _ip("-n", namespace, "link", "set", "lo", "up")
            device = f"t{os.getpid() % 10**8}{namespace[-4:]}"
            ends.append(tun(device))
            await _ip("link", "set", device, "netns", namespace, "name", _DEVICE)
            await _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", _DEVICE)
            await _ip("-n", namespace, "link", "set", _DEVICE, "up")
        async with Cable((ends[0], ends[1]), seed=seed) as cable:
            yield Network(client, server, cable)
    finally:
        with anyio.CancelScope(shield=True):
            for namespace in (client, server):
                await anyio.run_process(["ip", "netns", "del", namespace], check=False)


class _Inside(Server):
    """A server that cannot be reached from this process."""

    @property
    def url(self) -> str:
        return f"http://{_SERVER}:{self.port}"

    async def _accepts(self) -> None:
        """Do nothing: the server's log says when it listens."""


@dataclass(frozen=True, slots=True)
class _HostInside(Host):
    namespace: str = ""

    def command(self, app: str, port: int) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *Host.command(self, app, port)]


@asynccontextmanager
async def server_in(net: Network, app: str) -> AsyncIterator[str]:
    """Serve ``app`` by uvicorn in the server's namespace. Yield its URL for the client's namespace.

    The server is killed at the end, and its log must be clean. uvicorn would wait for a connection
    that died with unsent data until the kernel gives up on it, after a quarter of an hour.
    """
    host = _HostInside(
        UVICORN.module,
        f"--host {_SERVER} --port {{port}} --no-access-log",
        UVICORN.listens,
        UVICORN.ready,
        namespace=net.server,
    )
    server = _Inside(app, host=host)
    await server.start()
    try:
        yield server.url
    except BaseException:
        print("\n".join(["-- the server's log", *server.log]))  # noqa: T201 - shown by pytest
        raise
    finally:
        await server.kill()
    server.assert_clean()


@asynccontextmanager
async def chromium_in(net: Network) -> AsyncIterator[Browser]:
    """Run a headless Chromium in the client's namespace, driven through a pipe."""
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}-") as folder:
        program = Path(folder) / "chromium"
        inside = ["ip", "netns", "exec", net.client, CHROMIUM]
        program.write_text(f'#!/bin/sh\nexec {shlex.join(inside)} "$@"\n')
        program.chmod(0o755)
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=program, headless=True, args=CHROMIUM_FLAGS
            )
            try:
                yield browser
            finally:
                with anyio.CancelScope(shield=True), anyio.fail_after(_ENDS_WITHIN):
                    await browser.close()


def _name(role: str) -> str:
    """Return a name that is unique to this process and network."""
    return f"{_PREFIX}-{os.getpid()}-{next(_numbers)}{role}"


async def _remove_left() -> None:
    """Remove namespaces that killed processes have left."""
    listed = await anyio.run_process(["ip", "netns", "list"])
    for line in listed.stdout.decode().splitlines():
        name = line.partition(" ")[0]
        prefix, _, rest = name.partition("-")
        if prefix == _PREFIX and not _runs(rest.partition("-")[0]):
            await anyio.run_process(["ip", "netns", "del", name], check=False)


def _runs(process: str) -> bool:
    return Path("/proc", process).exists()


async def _ip(*arguments: str) -> None:
    await anyio.run_process(["ip", *arguments])
