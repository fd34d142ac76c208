"""The packed npm package in an empty project: compiled, bundled, imported and run.

The tools are the newest, but for jsdom and vitest: the newest of those that run on Node.js 20.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.consumers.blocks import Block, blocks, commands
from tests.consumers.install import INSTALLS_WITHIN, run
from tests.consumers.vite_pages import FRAMEWORKS
from tests.contracts.test_exports import CLIENT_EXPORTS
from tests.contracts.test_npm_exports import MANIFEST, SUBPATHS, source
from tests.contracts.test_npm_exports import SCRIPTS as SCRIPTS_OF_PACKAGE
from tests.support.servers.uvicorn import Server, serving

pytestmark = [pytest.mark.consumer, pytest.mark.timeout(600)]

# `test_frameworks` has the frameworks, and runs the scripts of their documents.
SCRIPTS = [
    block
    for block in blocks("js", "ts")
    if block.document not in {f"docs/{name}.md" for name in FRAMEWORKS}
]

DECLARATIONS = {
    "index": """
        Channel ChannelError ChannelEventMap ChannelOptions ChannelState Attempt Debug Fate
        Statistics TransportName UnreachableCause
        Handlers Handler LostRange
    """,
    "global": "",
    "reload": "acrossReloads",
    "react": "useChannel useChannelEvent useChannelState useMessages",
    "websocket": "FallbackWebSocket install Pattern SocketTarget SocketHandler",
    "websocket_global": "",
}
"""What each file of types declares: what it exports, and on another line what that refers to."""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder in which the package is installed, with the tools that people use it with."""

    folder: Path
    tarball: Path

    async def run(self, *command: str | Path, **environment: str) -> str:
        """Run a program in its folder."""
        return await run(*command, folder=self.folder, environment=environment)

    async def tool(self, name: str, *arguments: str | Path, **environment: str) -> str:
        """Run a program that a package of the project has."""
        return await self.run(f"node_modules/.bin/{name}", *arguments, **environment)


@pytest.fixture(scope="module")
async def project(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("npm") / "project"
    shutil.copytree(Path(__file__).parent / "project", folder)
    (folder / "documents").mkdir()
    for block in SCRIPTS:
        (folder / "documents" / f"{block.stem}.{block.language}").write_text(block.text, "utf-8")
        if "export function complete(" in block.text:
            (folder / "documents/complete.mjs").write_text(block.text, "utf-8")
    install = ("npm", "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund")
    await run(*install, "--loglevel=error", tarball, folder=folder, within=INSTALLS_WITHIN)
    return Project(folder, tarball)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tests.support.apps:echo") as server:
        yield server


async def test_package_has_readme_license_and_no_internals(project: Project) -> None:
    with tarfile.open(project.tarball) as tarball:
        names = {name.removeprefix("package/") for name in tarball.getnames()}
        files = {name for name in names if not name.endswith(".map")}
        assert files == {
            *("README.md", "LICENSE", "package.json"),
            *("dist/client.js", "dist/client.global.js", "dist/reload.js", "dist/react.js"),
            *("dist/websocket.js", "dist/websocket.global.js"),
            *(f"dist/types/{name}.d.ts" for name in DECLARATIONS),
        }
        assert {f"{name}.map" for name in files if name.endswith(".js")} == names - files


@pytest.mark.parametrize("name", DECLARATIONS)
async def test_declarations_show_only_public_names(project: Project, name: str) -> None:
    declarations = project.folder / f"node_modules/onechannel/dist/types/{name}.d.ts"
    text = declarations.read_text("utf-8")
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    assert not re.findall(r"\b_\w+|\bprivate\b|\bprotected\b|\benvironment\b|\.ts\"", code)
    assert "@internal" not in text
    declared = r"^(?:export )?(?:declare )?(?:class|interface|type|function|const) (\w+)"
    assert set(re.findall(declared, text, re.MULTILINE)) == set(DECLARATIONS[name].split())


async def test_package_exports_documented_names(project: Project) -> None:
    found = json.loads(await project.run("node", "app/exports.mjs"))
    names = {subpath: sorted(CLIENT_EXPORTS[source(subpath)].split()) for subpath in SUBPATHS}
    # The scripts export nothing: they define a global.
    for subpath in SCRIPTS_OF_PACKAGE:
        assert found.pop(f"onechannel of {subpath}") == names.pop(subpath)
        assert found.pop(subpath) == [[], []]
    assert found == {subpath: [exported, exported] for subpath, exported in names.items()}


async def test_publint_finds_no_fault(project: Project) -> None:
    await project.tool("publint", "run", project.tarball, "--strict")


async def test_attw_finds_no_fault(project: Project) -> None:
    # An ES module has no declarations for `require` of old versions of Node.js.
    await project.tool("attw", project.tarball, "--profile", "esm-only", "--no-emoji")


# Compilers before 5.8 do not know that Node.js can `require` an ES module.
@pytest.mark.parametrize(
    ("compiler", "configuration"),
    [
        *(("typescript", name) for name in ("bundler", "nodenext", "worker")),
        *(("typescript-5.4", name) for name in ("bundler", "node16", "worker")),
    ],
)
async def test_types_compile(project: Project, compiler: str, configuration: str) -> None:
    tsc = project.folder / "node_modules" / compiler / "bin/tsc"
    await project.run("node", tsc, "-p", f"types/tsconfig.{configuration}.json")


@pytest.mark.parametrize(
    "command", ["app/node.mjs", "--experimental-websocket app/node.mjs", "app/jsdom.mjs"]
)
async def test_node_imports_package(project: Project, server: Server, command: str) -> None:
    output = await project.run("node", *command.split(), f"{server.url}/chat")
    assert output.endswith("passed\n")


@pytest.mark.parametrize("options", ["", "--experimental-websocket"])
async def test_node_uses_websocket_on_channel(project: Project, options: str) -> None:
    async with serving("tests.support.existing_websockets:app") as server:
        urls = (f"{server.url}/{mount}/echo".replace("http", "ws") for mount in ("ws", "bare"))
        output = await project.run("node", *options.split(), "app/websocket.mjs", *urls)
    assert output.endswith("passed\n")


async def test_vite_build_converses(project: Project, server: Server) -> None:
    await project.tool("vite", "build", "--logLevel", "warn")
    [script] = (project.folder / "dist/assets").glob("*.js")
    assert await project.run("node", script, f"{server.url}/chat") == "passed\n"


async def test_esbuild_bundle_converses(project: Project, server: Server) -> None:
    options = ("--bundle", "--minify", "--format=esm", "--target=es2022", "--log-level=warning")
    await project.tool("esbuild", "app/main.ts", *options, "--outfile=bundle.mjs")
    assert await project.run("node", "bundle.mjs", f"{server.url}/chat") == "passed\n"


@pytest.mark.parametrize("dom", ["happy-dom", "jsdom"])
async def test_page_converses_in_dom_of_vitest(project: Project, server: Server, dom: str) -> None:
    await project.tool(
        "vitest", "run", "--environment", dom, "page.test", CHANNEL_URL=f"{server.url}/"
    )


async def test_documented_install_is_of_package(project: Project) -> None:
    assert commands("npm") == [("client_js/README.md-1-sh", ["npm", "install", MANIFEST["name"]])]
    assert (project.folder / "node_modules" / MANIFEST["name"]).is_dir()


async def test_documented_hash_is_of_script(project: Project) -> None:
    [line] = [
        line for block in blocks("sh") for line in block.text.splitlines() if "sha384" in line
    ]
    script = project.folder / MANIFEST["unpkg"].replace("./", "node_modules/onechannel/")
    assert str(script.relative_to(project.folder)) in line
    digest = base64.b64encode(hashlib.sha384(script.read_bytes()).digest()).decode()
    assert await project.run("sh", "-c", line) == digest


async def test_documented_script_is_of_this_version() -> None:
    [page] = [block.text for block in blocks("html")]
    path = MANIFEST["unpkg"].removeprefix(".")
    assert f"/{MANIFEST['name']}@{MANIFEST['version']}{path}" in page
    assert MANIFEST["jsdelivr"] == MANIFEST["unpkg"]


async def test_documented_scripts_compile(project: Project) -> None:
    assert {block.document for block in SCRIPTS} >= {"client_js/README.md", "docs/browser.md"}
    await project.run("node", "node_modules/typescript/bin/tsc", "-p", "documents.tsconfig.json")


@pytest.mark.parametrize(
    "block",
    [block for block in SCRIPTS if '"/chat/client.js"' in block.text and '"/chat"' in block.text],
    ids=str,
)
async def test_documented_page_opens_channel(
    project: Project, server: Server, block: Block
) -> None:
    script = project.folder / "documents" / f"{block.stem}.{block.language}"
    environment = {"CHANNEL_URL": f"{server.url}/", "DOCUMENT": str(script)}
    await project.tool(
        "vitest", "run", "--environment", "happy-dom", "documents.test", **environment
    )
