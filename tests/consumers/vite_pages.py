"""Vite's development server with the packed npm package, and what its pages show.

The pages are in `frameworks/`, their hubs in `frameworks_app`, behind a `FaultProxy`.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio
import httpx
from playwright.async_api import expect

from tests.consumers.blocks import blocks
from tests.consumers.install import INSTALLS_WITHIN, run
from tests.support.browsers.chromium import DEADLINE, Tab
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.process import STARTS_WITHIN, running
from tests.support.servers.uvicorn import Server, free_port

FRAMEWORKS = ("react", "vue", "svelte")
_NAMES = itertools.count(1)

expect.set_options(timeout=DEADLINE * 1000)


@dataclass(frozen=True, slots=True)
class Site:
    """The development server and what is behind it.

    Attributes:
        folder: the project that Vite serves.
        url: its address.
        proxy: what the connections to the hubs pass.
        hubs: the server of the hubs.
        rooms: the address of the hub of a `Room`; empty for that of Vite.
    """

    folder: Path
    url: str
    proxy: FaultProxy
    hubs: Server
    rooms: str

    async def ask(self, method: str, path: str, **query: str | int) -> Any:
        """Return the answer of the server of the hubs, or None if it is empty."""
        async with httpx.AsyncClient(base_url=self.hubs.url, trust_env=False) as client:
            answer = await client.request(method, path, params=query)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def until_no_chat(self) -> None:
        """Wait until the sessions of the documents' chats have ended."""
        with anyio.fail_after(DEADLINE):
            while await self.ask("GET", "/chats"):  # noqa: ASYNC110 - no event announces it
                await anyio.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Page:
    """A page with a `Room` (frameworks/src/room.tsx), and the server's view of it."""

    site: Site
    tab: Tab
    name: str

    async def change(self, **view: Any) -> None:
        """Render the page with other properties."""
        await self.tab.run("(view) => change(view)", view)

    async def sessions(self) -> list[dict[str, Any]]:
        """Return the sessions that this page has opened."""
        found: list[dict[str, Any]] = await self.site.ask("GET", "/sessions", page=self.name)
        return found

    async def until_sessions(self, *due: tuple[str, bool]) -> list[dict[str, Any]]:
        """Wait until the page has opened sessions in these rooms, each open or ended."""
        seen: list[dict[str, Any]] = []
        with anyio.move_on_after(DEADLINE):
            while True:
                seen = await self.sessions()
                if [(each["room"], each["open"]) for each in seen] == list(due):
                    return seen
                await anyio.sleep(0.02)
        raise AssertionError(f"the sessions stayed {seen}")

    async def push(self, first: int, last: int) -> None:
        """Let the server send these numbers."""
        await self.site.ask("POST", "/push", page=self.name, first=first, last=last)

    async def expect_list(self, *messages: Any, of: str = "list") -> None:
        """Wait until a list shows exactly these messages."""
        text = json.dumps(messages, separators=(",", ":"))
        await expect(self.tab.page.locator(f"#{of}")).to_have_text(text)

    async def expect_state(self, state: str) -> None:
        await expect(self.tab.page.locator("#state")).to_have_text(state)

    async def seen(self) -> dict[str, Any]:
        """Return what the components were given."""
        found: dict[str, Any] = await self.tab.run(
            "() => ({...seen, channels: seen.channels.length})"
        )
        return found


async def create_project(folder: Path, tarball: Path) -> None:
    """Install the package and the frameworks into a new folder, with the code of the documents."""
    shutil.copytree(Path(__file__).parent / "frameworks", folder)
    _write_documents(folder / "documents")
    # React 18 beside 19: each has its own peer.
    options = ("--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--legacy-peer-deps")
    install = ("npm", "install", "--loglevel=error", "--prefer-offline", *options)
    await run(*install, tarball, folder=folder, within=INSTALLS_WITHIN)


def _write_documents(folder: Path) -> None:
    """Write the code of the documents, below the name of each document.

    A file is named by its first line, or by the number of its block.
    """
    code = {f"docs/{name}.md": ("ts", "tsx", "vue", "svelte") for name in FRAMEWORKS}
    for document, languages in {**code, "client_js/README.md": ("tsx",)}.items():
        files = folder / Path(document).stem
        files.mkdir(parents=True)
        for block in blocks(*languages, document=document):
            named = re.match(r"(?://|<!--) (\w+\.\w+)", block.text)
            file = files / (named[1] if named else f"{block.number}.{block.language}")
            file.write_text(block.text, "utf-8")


@asynccontextmanager
async def vite(
    project: Path, hubs: Server, *, react: str = "", port: int | None = None
) -> AsyncIterator[Site]:
    """Serve the project with a version of React, by default the newest.

    On a given ``port``, whose origin the hubs allow, a `Room` does not reach its hub through Vite,
    whose proxy does not pass on that a stream was cut.
    """
    is_allowed = port is not None
    port = port or free_port()
    options = ("--host", "127.0.0.1", "--port", str(port), "--strictPort")
    command = ("node", "node_modules/vite/bin/vite.js", *options)
    async with FaultProxy(hubs.port) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        environment = ("env", f"HUBS={address}", f"REACT={react}")
        async with running("vite", (*environment, *command), project, [port]):
            url = f"http://127.0.0.1:{port}"
            await until_answered(url)
            yield Site(project, url, proxy, hubs, address if is_allowed else "")


async def until_answered(url: str) -> None:
    """Wait until a server answers.

    That its port accepts a connection does not show it: Vite first listens there to see whether the
    port is free, and stops again.
    """
    with anyio.fail_after(STARTS_WITHIN):
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            while True:
                with suppress(httpx.TransportError):
                    await client.get(url)
                    return
                await anyio.sleep(0.02)


def document_url(site: Site, show: str, **query: str | Sequence[str]) -> str:
    """Return the URL of a page of the documents."""
    return f"{site.url}/?{urlencode({'show': show, **query}, doseq=True)}"


@asynccontextmanager
async def showing(
    shared: Tab, site: Site, *, hydrated: bool = False, **view: Any
) -> AsyncIterator[Page]:
    """Show a `Room` with these properties. At the end, check that the page had no errors."""
    shared.errors.clear()
    name = str(next(_NAMES))
    first = {"page": name, "hubs": site.rooms, **view}
    if not await shared.run("() => 'begin' in window"):
        await shared.goto(site.url)
    await shared.run("([first, hydrated]) => begin(first, hydrated)", [first, hydrated])
    try:
        yield Page(site, shared, name)
    finally:
        await shared.run("() => window.change?.({mounted: false})")
        shared.assert_no_errors()


def numbers(first: int, last: int) -> list[int]:
    """Return what `Page.push` sends."""
    return list(range(first, last + 1))
