"""A network of its own for a test: a client's machine and a server's, with a cable between them.

Both are network namespaces of Linux: what happens to addresses, links and packets there happens to
nobody else, and nothing that runs inside gets out. A real Chromium and a real server run inside.

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
"""The reason of a skipped test; `why_not` follows it."""

_PREFIX = "onechannel"
_CLIENT = "192.0.2.2"
_SERVER = "192.0.2.1"
_DEVICE = "cable"
_ENDS_WITHIN = 10.0
_numbers = itertools.count(1)


def why_not() -> str | None:
    """Return what is missing for a network namespace, or None."""
    if sys.platform != "linux":
        return "they are Linux's"
    if shutil.which("ip") is None:
        return "no program `ip` (Debian: iproute2)"
    if os.geteuid() != 0:
        return "only root may make them"
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
    """Two machines and what is between them.

    Attributes:
        client: the name of the client's namespace.
        server: of the server's.
        cable: between them.
    """

    client: str
    server: str
    cable: Cable

    async def unplug(self) -> None:
        """The client's link goes down, and its machine knows."""
        await _ip("-n", self.client, "link", "set", _DEVICE, "down")

    async def plug_in(self) -> None:
        await _ip("-n", self.client, "link", "set", _DEVICE, "up")

    async def change_address(self, address: str) -> None:
        """The client has another address from now on, as in another network."""
        await _ip("-n", self.client, "addr", "flush", "dev", _DEVICE)
        await _ip("-n", self.client, "addr", "add", f"{address}/24", "dev", _DEVICE)


@asynccontextmanager
async def network(*, seed: int = 1) -> AsyncIterator[Network]:
    """Two namespaces with a cable between them while the block runs."""
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
    """A server that cannot be reached from here."""

    @property
    def url(self) -> str:
        return f"http://{_SERVER}:{self.port}"

    async def _accepts(self) -> None:
        """It says when it listens."""


@dataclass(frozen=True, slots=True)
class _HostInside(Host):
    namespace: str = ""

    def command(self, app: str, port: int) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *Host.command(self, app, port)]


@asynccontextmanager
async def server_in(net: Network, app: str) -> AsyncIterator[str]:
    """Serve ``app`` in the server's namespace, by uvicorn; its URL, for the client's.

    It is killed at the end, and must have logged nothing bad. uvicorn would wait for a connection
    that died with data in its socket until the kernel gives up on it: a quarter of an hour.
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
    """A headless Chromium in the client's namespace, driven through a pipe."""
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
    """No two processes, and no two networks of one, share a name."""
    return f"{_PREFIX}-{os.getpid()}-{next(_numbers)}{role}"


async def _remove_left() -> None:
    """Those of processes that were killed."""
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
