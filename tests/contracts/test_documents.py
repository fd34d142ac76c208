"""The documents are accurate: their figures, tables and links are right.

`tests/consumers` runs their code.
"""

from __future__ import annotations

import dataclasses
import gzip
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest

import transport
from examples.demo.app import SCENES
from tests.support.servers.uvicorn import Server, free_port, serving
from transport import Limits, codes
from transport.limits import silence_timeout
from transport.protocol.frames import ResetReason

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
DOCUMENTS = ["README.md", "PROTOCOL.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
LINKED = [*DOCUMENTS, *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
BROWSER = (ROOT / "docs/browser.md").read_text("utf-8")
HOSTS = (ROOT / "docs/hosts.md").read_text("utf-8")
ERRORS = (ROOT / "docs/errors.md").read_text("utf-8")
_UNITS = {"": 1, "s": 1, "KiB": 1024, "MiB": 1024 * 1024}


[CHAT] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
"""The file that the README says to copy."""

[PAGE, *_] = re.findall(r"```js\n(.*?)```", BROWSER, re.DOTALL)
"""The script at the top of docs/browser.md."""


@asynccontextmanager
async def serving_code(folder: Path, *code: str) -> AsyncIterator[Server]:
    """Serve the ``app`` of a module made of these blocks."""
    (folder / "readme.py").write_text("\n".join(code), "utf-8")
    async with serving("readme:app", "--app-dir", str(folder)) as server:
        yield server


def lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_documents_and_examples_are_short() -> None:
    assert lines(ROOT / "README.md") <= 120
    assert lines(ROOT / "PROTOCOL.md") <= 640
    assert CHAT.count("\n") <= 40
    assert PAGE.count("\n") <= 25
    for path in (ROOT / "examples").rglob("*.py"):
        assert lines(path) <= 90, path


def test_readme_limits_match_code() -> None:
    table = re.findall(r"^\| `(\w+)` \| ([0-9,]+) ?(\w*) \|", README, re.MULTILINE)
    assert len(table) == README.count("\n| `")
    documented = {name: int(n.replace(",", "")) * _UNITS[unit] for name, n, unit in table}
    actual = dataclasses.asdict(Limits())
    assert documented == {name: actual[name] for name in documented}


def test_readme_client_size_is_true() -> None:
    found = re.search(r"less than (\d+) KiB after gzip", README)
    assert found is not None
    for name in ("client.js", "client.global.js"):
        built = (ROOT / "transport/static" / name).read_bytes()
        assert len(gzip.compress(built, 9)) < int(found.group(1)) * 1024


def rows(title: str) -> list[str]:
    """Return the first cell of each row in this section of docs/errors.md."""
    [section] = re.findall(
        rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", ERRORS, re.DOTALL | re.MULTILINE
    )
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


def test_codes_are_all_documented() -> None:
    table = re.findall(r"^\| `(\w+)` \| ([\d-]+), ([\d-]+) \|", ERRORS, re.MULTILINE)
    assert table == [
        (code.name, str(code.websocket or "-"), str(code.status or "-"))
        for code in codes.CODES.values()
    ]
    assert rows("Why a session was reset") == [reason.value for reason in ResetReason]


def test_exceptions_are_all_documented() -> None:
    raised = {
        name
        for name in transport.__all__
        if isinstance(one := getattr(transport, name), type) and issubclass(one, Exception)
    }
    assert set(rows("Exceptions in Python")) == raised - {"ChannelError"}
    source = (ROOT / "client_js/src/errors.ts").read_text("utf-8")
    ours = re.findall(r"^//   (\w+) ", source, re.MULTILINE)
    assert set(rows("Errors in the page")) == {*ours, "reset"}


def test_log_events_are_all_documented() -> None:
    logged = set()
    for path in (ROOT / "transport").glob("**/*.py"):
        logged |= set(re.findall(r"\blog_event\(\s*\w+,\s*\"(\w+)\"", path.read_text("utf-8")))
    assert set(rows("The log")) == logged


async def test_documented_urls_are_served(tmp_path: Path) -> None:
    named = set(re.findall(r"`/chat/([\w.-]+)`", HOSTS))
    scripts = {"client.js", "client.global.js", "reload.js", "websocket.js", "websocket.global.js"}
    assert named == {"websocket", "sse", "poll", "send", *scripts}
    async with (
        serving_code(tmp_path, CHAT) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        for name in named:
            answer = await client.get(f"/chat/{name}")
            assert answer.status_code in (200, 405, 426), name
        assert (await client.get("/chat/other")).status_code == 404


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for name in DOCUMENTS:
        text = (ROOT / name).read_text("utf-8")
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets


def test_page_options_are_all_documented() -> None:
    source = (ROOT / "client_js/src/options.ts").read_text("utf-8")
    interface = source.partition("interface ChannelOptions {")[2].partition("\n}")[0]
    section = BROWSER.partition("## Options")[2]
    rows = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.MULTILINE)
    names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(names) == sorted(re.findall(r"^  (\w+)\?:", interface, re.MULTILINE))


def test_documented_silence_is_that_of_code() -> None:
    """LIV-1, LIV-2: how long a page and a handler may take a dead connection for a live one."""
    [section] = re.findall(r"## How soon a loss is noticed\n(.*?)\n## ", BROWSER, re.DOTALL)
    heartbeat = Limits().heartbeat
    assert f"up to {silence_timeout(heartbeat):.0f} s" in section
    assert f"`Limits(heartbeat={heartbeat:.0f})`" in section
    assert f"`Limits(heartbeat=5)` makes it {silence_timeout(5):.0f} s" in section
    assert f"up to {3 * heartbeat:.0f} s" in section


@pytest.mark.parametrize("document", LINKED)
def test_links_point_to_existing_files(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        assert (ROOT / document).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("scene", [*SCENES, "workers"])
async def test_scene_runs_alone(scene: str) -> None:
    async with (
        serving("app:app", "--app-dir", str(ROOT / "examples" / scene)) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):
        page = await client.get("")
        paths = re.findall(r'(?:href|src)="([\w/.]+\w)"', page.text)
        assert f"{scene}.js" in paths
        for path in (*paths, "channel/client.js"):
            assert (await client.get(path)).status_code == 200, path


async def test_demo_serves_scenes() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    async with await anyio.open_process(
        [sys.executable, ROOT / "scripts/demo.py"],
        cwd=ROOT,
        env={**os.environ, "PORT": str(port)},
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            assert process.stdout is not None
            written = b""
            with anyio.fail_after(15):
                while b"Uvicorn running on" not in written:
                    written += await process.stdout.receive()
            assert url in written.decode()
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                for path in ("", "index.css", "panel/icon.svg"):
                    assert (await client.get(path)).status_code == 200, path
                for scene in SCENES:
                    for path in ("", "panel/stage.js", "channel/client.js"):
                        assert (await client.get(f"{scene}/{path}")).status_code == 200, path
        finally:
            process.kill()
