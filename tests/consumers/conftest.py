"""The built packages, and the environments into which they are installed.

Tests that share an environment are in one `xdist_group`, so that a worker makes it once.
"""

from __future__ import annotations

import fcntl
import shutil
import sys
from pathlib import Path
from typing import IO

import anyio
import anyio.to_thread
import pytest

from tests.consumers.install import (
    INSTALLS_WITHIN,
    ROOT,
    Archives,
    Client,
    Environment,
    Variant,
    run,
)

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="session")
async def archives(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Archives:
    """Build the sdist from the sources, and the wheel from the sdist, once for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "archives"
    with await anyio.to_thread.run_sync(lock, folder.with_suffix(".lock")):
        if not folder.exists():
            building = folder.with_suffix(".new")
            build = (sys.executable, "-m", "build", "--outdir", building, ROOT)
            await run(*build, folder=ROOT, within=INSTALLS_WITHIN)
            building.rename(folder)
    [sdist], [wheel] = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return Archives(sdist, wheel)


def lock(path: Path) -> IO[bytes]:
    """Return an open file that no other worker has locked; closing it unlocks it."""
    file = path.open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


LOWEST = Variant("lowest", lowest=True)  # anyio 4.9 requires sniffio
NEWEST = Variant("newest")
SNIFFIO = Variant("sniffio", others=("sniffio",))
VARIANTS = [
    pytest.param(variant, marks=pytest.mark.xdist_group(variant.name), id=variant.name)
    for variant in (LOWEST, NEWEST, SNIFFIO)
]


@pytest.fixture(scope="session", params=VARIANTS[:2])
async def plain(
    request: pytest.FixtureRequest, archives: Archives, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """The wheel without extras."""
    variant: Variant = request.param
    folder = tmp_path_factory.mktemp(f"plain-{variant}")
    environment = await Environment.create(folder, archives.wheel, *variant.floors())
    copy_programs(folder)
    return environment


@pytest.fixture(scope="session", params=VARIANTS)
async def client(
    request: pytest.FixtureRequest, archives: Archives, tmp_path_factory: pytest.TempPathFactory
) -> Client:
    """The wheel with the extra `client`."""
    variant: Variant = request.param
    folder = tmp_path_factory.mktemp(f"client-{variant}")
    wheel = f"{archives.wheel}[client]"
    # Without its own extra: the WebSocket library is that of the client.
    server = [one.replace("[standard]", "") for one in variant.floors("demo") if "uvicorn" in one]
    tools = ("uvicorn", *server, "pytest", "pytest-asyncio")
    await Environment.create(folder, wheel, *variant.floors("client"), *variant.others, *tools)
    copy_programs(folder)
    return Client(folder, variant)


def copy_programs(folder: Path) -> None:
    """Copy the programs into an environment, so that they import what is installed there."""
    for path in PROGRAMS.glob("*.py"):
        shutil.copy(path, folder)
