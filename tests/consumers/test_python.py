"""The built wheel in environments with nothing but its own extras."""

from __future__ import annotations

import re
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from packaging.version import Version

from tests.consumers.blocks import blocks
from tests.consumers.install import Environment, Variant, requirements, run
from tests.support.servers.uvicorn import Server, serving

pytestmark = [pytest.mark.consumer, pytest.mark.timeout(600)]

TRANSPORTS = ["websocket", "sse", "longpoll"]
CONFTEST, *EXAMPLES = (block.text for block in blocks("python", document="docs/testing.md"))


class WithClient:
    """The tests of an installation with the extra `client`.

    The tests of a subclass share an environment, and run in one worker.
    """

    variant: Variant

    async def test_versions_are_those_claimed(self, client: Environment) -> None:
        versions = await client.versions()
        lowest = dict(re.split(">=", requirement) for requirement in requirements("client"))
        for name, floor in lowest.items():
            installed = Version(versions[name])
            assert installed >= Version(floor)
            assert installed == Version(floor) or not self.variant.lowest
        assert ("sniffio" in versions) == self.variant.sniffio

    @pytest.mark.parametrize("transport", TRANSPORTS)
    async def test_client_converses_under_every_runner(
        self, client: Environment, transport: str
    ) -> None:
        async with serving_echo(client) as server:
            await client.run("run_client.py", f"{server.url}/chat", transport)

    @pytest.mark.parametrize("plugin", ["anyio", "asyncio"])
    async def test_client_converses_in_tests_of_plugin(
        self, client: Environment, plugin: str
    ) -> None:
        async with serving_echo(client) as server:
            output = await client.run(
                *("-m", "pytest", "-q", "test_plugins.py", "-k", f"in_{plugin}_test"),
                CHANNEL_URL=f"{server.url}/chat",
            )
        assert "3 passed" in output

    async def test_starlette_test_client_works(self, client: Environment) -> None:
        output = await client.run("-m", "pytest", "-q", "test_client.py")
        assert "5 passed" in output

    @pytest.mark.parametrize("mode", ["anyio", "strict", "auto"])
    async def test_testing_examples_pass_under_plugin(
        self, client: Environment, tmp_path: Path, mode: str
    ) -> None:
        """``mode``: anyio's plugin alone, or beside pytest-asyncio in this mode."""
        (tmp_path / "test_copied.py").write_text("\n\n".join(EXAMPLES), "utf-8")
        options = ("-p", "no:asyncio") if mode == "anyio" else ("-o", f"asyncio_mode={mode}")
        if mode == "auto":
            (tmp_path / "conftest.py").write_text(CONFTEST, "utf-8")
        output = await run(client.python, "-m", "pytest", "-q", *options, tmp_path, folder=tmp_path)
        found = re.search(r"(\d+) passed", output)
        assert found is not None
        assert int(found.group(1)) >= "".join(EXAMPLES).count("def test_")
        assert not re.search("skipped|xfailed|deselected", output)


class Plain:
    """The tests of an installation without extras."""

    async def test_plain_install_needs_no_extra(self, plain: Environment) -> None:
        assert not {"httpx", "websockets", "uvicorn"} & set(await plain.versions())
        await plain.run("plain_install.py")


class TestLowest(Plain, WithClient):
    variant = Variant(lowest=True, sniffio=True)  # anyio 4.9 requires sniffio


class TestNewest(Plain, WithClient):
    variant = Variant()


class TestSniffio(WithClient):
    """Other packages, such as trio and openai, bring sniffio along."""

    variant = Variant(sniffio=True)


def serving_echo(client: Environment) -> AbstractAsyncContextManager[Server]:
    """Serve the echo application with the versions of this environment."""
    return serving("echo_app:app", "--app-dir", str(client.folder), host=client.host)
