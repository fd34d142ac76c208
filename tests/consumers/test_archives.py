"""What a release would upload: the wheel and the sdist."""

from __future__ import annotations

import email
import os
import re
import sys
import tarfile
import zipfile
from pathlib import Path

import httpx
import pytest

from tests.consumers.install import Archives, run
from tests.support.servers.process import running
from tests.support.servers.uvicorn import free_port
from transport.stores.redis.scripts import Scripts

pytestmark = [pytest.mark.consumer, pytest.mark.timeout(600)]

_SCRIPTS = ("prelude", *Scripts.__struct_fields__)

_LINK = re.compile(r"\]\(([^)#\s]+)")


async def test_wheel_has_types_license_client_and_scripts(archives: Archives) -> None:
    with zipfile.ZipFile(archives.wheel) as wheel:
        names = set(wheel.namelist())
    assert {"transport/py.typed", "transport/__init__.py"} <= names
    for script in ("client", "client.global", "reload", "websocket", "websocket.global"):
        assert {f"transport/static/{script}.js", f"transport/static/{script}.js.map"} <= names
    assert "transport/static/console.html" in names
    assert {f"transport/stores/redis/{name}.lua" for name in _SCRIPTS} <= names
    assert [name for name in names if name.endswith("licenses/LICENSE")]
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"transport", "onechannel"}


async def test_wheel_description_has_no_dead_links(archives: Archives) -> None:
    with zipfile.ZipFile(archives.wheel) as wheel:
        [name] = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(wheel.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    description = metadata.get_payload()
    assert isinstance(description, str)
    assert "# onechannel" in description
    assert "docs/errors.md" in description
    assert all(re.match("https?:", target) for target in _LINK.findall(description))


@pytest.fixture(scope="module")
def sources(archives: Archives, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(archives.sdist) as sdist:
        sdist.extractall(folder, filter="data")
    [unpacked] = folder.iterdir()
    return unpacked


async def test_sdist_has_what_its_readme_names(sources: Path) -> None:
    readme = (sources / "README.md").read_text("utf-8")
    for target in _LINK.findall(readme):
        assert (sources / target).exists(), target
    for target in re.findall(r"^make ([a-z-]+)", readme, re.MULTILINE):
        await run("make", "--dry-run", target, folder=sources)


async def test_sdist_runs_its_demo_and_tests(sources: Path) -> None:
    """With this environment's packages, as a test of their installation takes a minute."""
    for script in (sources / "scripts").glob("*.sh"):
        assert os.access(script, os.X_OK), script
    port = free_port()
    command = ["env", f"PORT={port}", sys.executable, "scripts/demo.py"]
    async with (
        running("the demo", command, sources, [port]),
        httpx.AsyncClient(trust_env=False) as http,
    ):
        page = await http.get(f"http://127.0.0.1:{port}/")
        assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html")
    tests = ("tests/contracts/test_frames.py", "tests/unit/test_limits.py")
    output = await run(sys.executable, "-m", "pytest", "-q", *tests, folder=sources)
    assert re.search(r"^\d+ passed in", output, re.MULTILINE), output


async def test_sdist_has_all_sources_and_only_these(archives: Archives) -> None:
    with tarfile.open(archives.sdist) as sdist:
        names = sdist.getnames()
    for script in _SCRIPTS:
        assert [name for name in names if name.endswith(f"/transport/stores/redis/{script}.lua")]
    assert not [name for name in names if re.search(r"node_modules|\.pyc$|/\.venv|/dist/", name)]
