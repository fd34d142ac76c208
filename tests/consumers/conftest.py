"""The built packages, the environments into which they are installed, and the pages of Vite.

Tests that share an environment are in one class or module, so that a worker makes it once.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import anyio
import anyio.to_thread
import pytest
from playwright.async_api import Browser

from tests.consumers.install import (
    INSTALLS_WITHIN,
    PYPROJECT,
    ROOT,
    Archives,
    Environment,
    Variant,
    floors,
    run,
)
from tests.consumers.vite_pages import Site, create_project, vite
from tests.support.browsers.chromium import Tab, chromium, tab
from tests.support.servers.uvicorn import Server, free_port, serving

RELEASE = Path(os.environ["RELEASE"]) if "RELEASE" in os.environ else None
"""The folder of packages that `make release` has built, to be tried instead of new ones."""
PROGRAMS = Path(__file__).parent / "programs"
collect_ignore = ["programs", "project", "frameworks"]


@pytest.fixture(scope="session")
async def archives(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Archives:
    """Build the sdist from the sources, and the wheel from the sdist, once for all workers."""
    if RELEASE is not None:
        return Archives(*found(RELEASE, "*.tar.gz", "*.whl"))
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "archives"
    with await anyio.to_thread.run_sync(lock, folder.with_suffix(".lock")):
        if not folder.exists():
            building = folder.with_suffix(".new")
            build = (sys.executable, "-m", "build", "--outdir", building, ROOT)
            await run(*build, folder=ROOT, within=INSTALLS_WITHIN)
            building.rename(folder)
    return Archives(*found(folder, "*.tar.gz", "*.whl"))


@pytest.fixture(scope="session")
async def tarball(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Pack the npm package, once for all workers: packing builds it in place."""
    if RELEASE is not None:
        return found(RELEASE, "*.tgz")[0]
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "tarball"
    with await anyio.to_thread.run_sync(lock, folder.with_suffix(".lock")):
        if not folder.exists():
            building = folder.with_suffix(".new")
            building.mkdir()
            pack = ("npm", "pack", "--silent", "--pack-destination", building)
            await run(*pack, folder=ROOT / "client_js")
            building.rename(folder)
    return found(folder, "*.tgz")[0]


def found(folder: Path, *patterns: str) -> list[Path]:
    """Return the one file for each pattern."""
    files = [path for pattern in patterns for path in folder.glob(pattern)]
    assert len(files) == len(patterns), files
    return files


def lock(path: Path) -> IO[bytes]:
    """Return an open file that no other worker has locked; closing it unlocks it."""
    file = path.open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


@pytest.fixture(scope="class")
async def plain(
    request: pytest.FixtureRequest, archives: Archives, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """The wheel without extras."""
    variant: Variant = request.cls.variant
    folder = tmp_path_factory.mktemp("plain")
    others = floors() if variant.lowest else []
    environment = await Environment.create(folder, archives.wheel, *others)
    copy_programs(folder)
    return environment


@pytest.fixture(scope="class")
async def client(
    request: pytest.FixtureRequest, archives: Archives, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """The wheel with its client, a server, and the plugins of pytest that people have."""
    variant: Variant = request.cls.variant
    folder = tmp_path_factory.mktemp("client")
    # Without its own extra: the WebSocket library is that of the client.
    [server] = [one for one in PYPROJECT["dependency-groups"]["demo"] if "uvicorn" in one]
    if variant.lowest:
        server = server.replace(">=", "==")
    wheel = f"{archives.wheel}[client]"
    tools = (server.replace("[standard]", ""), "pytest", "pytest-asyncio")
    environment = await Environment.create(folder, wheel, *variant.requirements("client"), *tools)
    copy_programs(folder)
    return environment


def copy_programs(folder: Path) -> None:
    """Copy the programs into an environment, so that they import what is installed there."""
    for path in PROGRAMS.glob("*.py"):
        shutil.copy(path, folder)


@pytest.fixture(scope="module")
async def project(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("frameworks") / "project"
    await create_project(folder, tarball)
    return folder


@pytest.fixture(scope="module")
async def port() -> int:
    """The port of Vite, whose pages the hubs allow."""
    return free_port()


@pytest.fixture(scope="module")
async def hubs(port: int) -> AsyncIterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAGE_ORIGIN", f"http://127.0.0.1:{port}")
        async with serving("tests.consumers.frameworks_app:app", "--no-access-log") as server:
            yield server


@pytest.fixture(scope="module")
async def site(project: Path, hubs: Server, port: int) -> AsyncIterator[Site]:
    async with vite(project, hubs, port=port) as one:
        yield one


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as one:
        yield one


@pytest.fixture(scope="module")
async def react_18(
    browser: Browser, project: Path, hubs: Server
) -> AsyncIterator[tuple[Tab, Site]]:
    """A page with React 18, and its site."""
    async with vite(project, hubs, react="18") as site, tab(browser, site.url) as one:
        yield one, site


@pytest.fixture(scope="module")
async def shared(browser: Browser, site: Site) -> AsyncIterator[Tab]:
    """A page that most tests use in turn, because it takes a while to load."""
    async with tab(browser, site.url) as one:
        yield one
