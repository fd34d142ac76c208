"""The code of the documents, as copied: each block runs, or is checked by the program it is for."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect as connect_websocket

from tests.consumers.blocks import BLOCKS, block_with, blocks, commands
from tests.consumers.install import METADATA, ROOT, Archives, Environment, run
from tests.field.matrix.proxies import Kind, Site, proxying
from tests.field.matrix.rows import ROWS
from tests.support.clients.frame_client import encode, open_frame
from tests.support.servers.nginx import EXECUTABLE as NGINX
from tests.support.servers.process import running
from tests.support.servers.redis import RedisServer
from tests.support.servers.uvicorn import Server, free_port, serving
from transport import connect

pytestmark = [pytest.mark.consumer, pytest.mark.timeout(600)]

OF_WORKERS = "docs/workers.md"
OF_REDIS = "docs/scaling.md"
CHAT = block_with("import uvicorn", document="README.md")
FASTAPI = block_with('app.mount("/chat", hub)', document="docs/hosts.md")
WORKERS = block_with("store=Workers()", document=OF_WORKERS)
REDIS = block_with("store=RedisStore(", document=OF_REDIS)
OF_GUNICORN = block_with("CONFIG_KWARGS", document="docs/hosts.md")
AUTHENTICATE = block_with("Identity(subject=", document="docs/hosts.md")

CHECKED = {"python", "js", "ts", "tsx", "vue", "svelte", "sh", "nginx", "text", "html"}
"""The languages whose blocks this module, `test_npm` and `test_frameworks` check, and
`tests/browser/test_policy.py` the one of `html`; `text` is output, or that policy."""
DIAGRAMS = {"docs/design.md"}
PROXIES = list({row.proxy.name: row.proxy for row in ROWS}.values())


@pytest.fixture(scope="module")
async def reader(archives: Archives, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """What a reader of the documents installs."""
    folder = tmp_path_factory.mktemp("reader")
    servers = ("uvicorn[standard]", "hypercorn", "granian", "gunicorn", "uvicorn-worker")
    return await Environment.create(folder, f"{archives.wheel}[client,redis]", "fastapi", *servers)


@asynccontextmanager
async def serving_code(reader: Environment, folder: Path, *code: str) -> AsyncIterator[Server]:
    """Serve the ``app`` of a module made of these blocks."""
    (folder / "readme.py").write_text("\n".join(code), "utf-8")
    async with serving("readme:app", "--app-dir", str(folder), host=reader.host) as server:
        yield server


def test_every_block_is_of_checked_kind() -> None:
    for block in BLOCKS:
        is_configuration = block.document == "docs/proxies.md" and not block.language
        is_diagram = block.document in DIAGRAMS and not block.language
        assert block.language in CHECKED or is_configuration or is_diagram, block
    assert [block.document for block in blocks("html")] == ["client_js/README.md"]


@pytest.mark.parametrize("document", sorted({block.document for block in blocks("python")}))
async def test_python_of_document_type_checks(
    reader: Environment, tmp_path: Path, document: str
) -> None:
    """The blocks of a document are one module. Names that they leave to the reader are allowed."""
    code = "\n\n".join(block.text for block in blocks("python", document=document))
    (tmp_path / "blocks.py").write_text(code, "utf-8")
    await run(
        *(sys.executable, "-m", "mypy", "--python-executable", reader.python),
        *("--config-file", "", "--cache-dir", reader.folder / "cache", "--allow-redefinition"),
        *("--ignore-missing-imports", "--check-untyped-defs"),
        *("--disable-error-code", "name-defined", "--disable-error-code", "top-level-await"),
        "blocks.py",
        folder=tmp_path,
    )


@pytest.mark.parametrize("code", [CHAT, FASTAPI], ids=["starlette", "fastapi"])
async def test_documented_mounts_of_hub_work(
    reader: Environment, tmp_path: Path, code: str
) -> None:
    async with serving_code(reader, tmp_path, code) as server:
        url = f"ws://127.0.0.1:{server.port}/chat/websocket"
        async with (
            connect_websocket(url, proxy=None) as one,
            connect_websocket(url, proxy=None) as two,
        ):
            with anyio.fail_after(5):
                for each in (one, two):
                    await each.send(encode(open_frame()))
                    assert json.loads(await each.recv())["verdict"] == "new"
                    await each.send(encode({"type": "ack", "ack": 0}))
                await one.send(encode([1, 0, {"text": "hello"}]))
                assert json.loads(await two.recv()) == [1, 0, {"text": "hello"}]


_USERS = """
async def user_of(cookie):
    return {"a cookie of ada": "ada"}.get(cookie)
"""
_MOUNT = """
app = Starlette(routes=[Mount("/chat", app=hub)], lifespan=hub.lifespan)
"""


async def test_documented_authenticate_works(reader: Environment, tmp_path: Path) -> None:
    async with (
        serving_code(reader, tmp_path, CHAT, _USERS, AUTHENTICATE, _MOUNT) as server,
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
    ):

        async def status(**headers: str) -> int:
            answer = await client.post(
                "/chat/poll",
                content=encode(open_frame()),
                headers={"content-type": "application/x-ndjson", **headers},
            )
            return answer.status_code

        cookie = "session=a cookie of ada"
        assert await status() == 401
        assert await status(cookie="session=other") == 401
        assert await status(cookie=cookie) == 200
        assert await status(cookie=cookie, origin="https://app.example.com") == 200
        assert await status(cookie=cookie, origin="https://evil.example.com") == 403


HOSTS = {
    "python": "",
    "uvicorn": "--port {port}",
    "hypercorn": "--bind 127.0.0.1:{port}",
    "granian": "--port {port}",
}
"""The programs that serve the README's chat, and how each is told a port; python by the file."""


def test_every_command_is_of_checked_program() -> None:
    """`test_npm` has the commands for a package that is installed."""
    known = {"make", "npm", "pip", "openssl", "gunicorn", *HOSTS}
    for block in blocks("sh"):
        for line in block.text.splitlines():
            words = shlex.split(line, comments=True)
            assert not words or words[0] in known, line


def test_documented_install_names_the_package() -> None:
    assert commands("pip") == [
        ("README.md-2-sh", ["pip", "install", METADATA["name"], "uvicorn[standard]"])
    ]


@pytest.mark.parametrize("words", [words for _, words in commands("make")], ids=" ".join)
async def test_documented_make_command_is_valid(words: list[str]) -> None:
    await run("make", "--dry-run", *words[1:], folder=ROOT)


@pytest.mark.parametrize("program", HOSTS)
async def test_documented_host_serves_readme(
    reader: Environment, tmp_path: Path, program: str
) -> None:
    [words] = [words for block, words in commands(program) if OF_WORKERS not in block]
    port = free_port()
    (tmp_path / "main.py").write_text(CHAT.replace("port=8000", f"port={port}"), "utf-8")
    command = (
        str(reader.python.parent / program),
        *words[1:],
        *HOSTS[program].format(port=port).split(),
    )
    async with running(program, command, tmp_path, [port]):
        for transport in ("websocket", "sse", "longpoll"):
            url = f"http://127.0.0.1:{port}/chat"
            async with connect(url, transports=[transport], trust_env=False, timeout=30) as channel:
                await channel.send({"text": "hello"})
                with anyio.fail_after(10):
                    assert await channel.receive() == {"text": "hello"}
    # The settings of docs/hosts.md are in the file and in the command.
    assert "host_limits" not in (tmp_path / "log").read_text("utf-8")


SERVERS_OF_WORKERS = [words for block, words in commands("gunicorn", *HOSTS) if OF_WORKERS in block]


@pytest.mark.parametrize("words", SERVERS_OF_WORKERS, ids=lambda words: words[0])
async def test_documented_workers_share_a_group(
    reader: Environment, tmp_path: Path, words: list[str]
) -> None:
    """Sessions begin in different workers; each gets every message once."""
    port = free_port()
    code = WORKERS + OF_GUNICORN if words[0] == "gunicorn" else WORKERS
    (tmp_path / "main.py").write_text(code, "utf-8")
    bind = HOSTS.get(words[0], HOSTS["hypercorn"]).format(port=port).split()
    command = (str(reader.python.parent / words[0]), *words[1:], *bind)
    async with running(words[0], command, tmp_path, [port]), AsyncExitStack() as stack:
        url = f"http://127.0.0.1:{port}/chat"
        channels = [
            await stack.enter_async_context(
                connect(url, transports=[transport], trust_env=False, timeout=30)
            )
            for transport in ("websocket", "sse", "longpoll") * 3
        ]
        for channel in channels:  # its handler receives after it has joined the group
            await channel.acknowledged(await channel.send("joined"))
        for index, channel in enumerate(channels):
            await channel.send(index)
        with anyio.fail_after(20):
            for channel in channels:
                received: list[object] = []
                while len(received) < len(channels):
                    if (message := await channel.receive()) != "joined":
                        received.append(message)
                assert set(received) == set(range(len(channels)))
    log = (tmp_path / "log").read_text("utf-8")
    assert "several_processes" not in log
    assert "host_limits" not in log


async def test_documented_redis_shares_a_group(
    reader: Environment, tmp_path: Path, redis_server: RedisServer
) -> None:
    """Two servers that share nothing but a Redis."""
    code = REDIS.replace("redis://localhost:6379", redis_server.url)
    async with (
        serving_code(reader, tmp_path, code) as one,
        serving_code(reader, tmp_path, code) as two,
        connect(f"{one.url}/chat", trust_env=False) as here,
        connect(f"{two.url}/chat", trust_env=False) as there,
    ):
        with anyio.fail_after(20):
            await here.acknowledged(await here.send("one"))
            await there.acknowledged(await there.send("two"))
            await here.send("three")
            assert [await here.receive() for _ in range(3)] == ["one", "two", "three"]
            while await there.receive() != "three":
                pass


_NGINX = """
pid nginx.pid;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    %s
    server { listen 127.0.0.1:%d; location / {
        %s
    } }
}
"""


async def test_documented_nginx_configuration_is_valid(tmp_path: Path) -> None:
    maps = "".join(block.text for block in blocks("nginx"))
    site = good_configuration(PROXIES[0]).replace("<app>", "127.0.0.1:9")
    (tmp_path / "conf").write_text(_NGINX % (maps, free_port(), site), "utf-8")
    await run(NGINX, "-t", "-p", tmp_path, "-c", "conf", "-e", "stderr", folder=tmp_path)


def good_configuration(kind: Kind) -> str:
    """Return the block of docs/proxies.md for this proxy."""
    text = (ROOT / "docs/proxies.md").read_text("utf-8")
    [found] = re.findall(
        rf"^{re.escape(kind.name)}:\n\n```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
    )
    return str(found)


def test_every_configuration_is_of_known_proxy() -> None:
    assert [block.text for block in blocks("", document="docs/proxies.md")] == [
        good_configuration(kind) for kind in PROXIES
    ]


@pytest.mark.parametrize("kind", PROXIES, ids=lambda kind: kind.name)
async def test_documented_proxy_starts(kind: Kind) -> None:
    """A proxy that is only installed for the matrix is compared with the configuration there."""
    if not shutil.which(kind.command[0]):
        assert good_configuration(kind) == kind.good
        return
    async with proxying(kind, Site(good_configuration(kind)), {"app": free_port()}):
        pass  # it listens
