"""The subpaths of the npm package, their exports, and the consumer job that uses all of them."""

from __future__ import annotations

import json
import re
from itertools import chain
from pathlib import Path

import pytest

from tests.contracts.test_exports import CLIENT_EXPORTS, CLIENT_SOURCES

CONSUMERS = Path(__file__).parents[1] / "consumers"
COMPILED = CONSUMERS / "project" / "types"
RUN = [CONSUMERS / "project" / "app", CONSUMERS / "frameworks" / "src"]
MANIFEST = json.loads((CLIENT_SOURCES.parent / "package.json").read_text("utf-8"))
SUBPATHS = [name for name in MANIFEST["exports"] if name != "./package.json"]

_TYPE = re.compile(r"^export (?:type|interface) (\w+)", re.MULTILINE)
SCRIPTS = {"./global": [], "./websocket/global": ["./websocket"]}
"""The subpaths that are scripts, with the modules whose types they define besides those of `.`."""

_TYPES = re.compile(r"^export type \{ (.*?) \}", re.MULTILINE)


def source(subpath: str) -> str:
    """Return the name of the source file of a subpath."""
    return f"{subpath.removeprefix('./').replace('.', 'index').replace('/', '_')}.ts"


def types(subpath: str) -> set[str]:
    """Return the types that a subpath exports."""
    text = (CLIENT_SOURCES / source(subpath)).read_text("utf-8")
    return {*_TYPE.findall(text), *", ".join(_TYPES.findall(text)).split(", ")} - {""}


def names_used(subpath: str, *folders: Path) -> set[str]:
    """Return the names that the consumer job imports from a subpath, or finds in `onechannel`."""
    module = re.escape(subpath.replace(".", "onechannel", 1))
    found: set[str] = set()
    for path in chain.from_iterable(folder.iterdir() for folder in folders):
        text = path.read_text("utf-8")
        if subpath.endswith("/global") and re.search(rf'"{module}"', text):
            found.update(re.findall(r"\bonechannel\.(\w+)", text))
        imports = rf'^import (?:type )?\{{([^}}]*)\}} from "{module}"'
        for names in re.findall(imports, text, re.MULTILINE):
            found.update(re.findall(r"\w+", names))
    return found


def test_every_subpath_has_documented_exports() -> None:
    assert sorted(map(source, SUBPATHS)) == sorted(CLIENT_EXPORTS)
    assert list(MANIFEST["exports"]) == [*sorted(SUBPATHS), "./package.json"]


def test_document_lists_every_subpath() -> None:
    text = (CLIENT_SOURCES.parents[1] / "docs/browser.md").read_text("utf-8")
    listed = re.findall(r"^\| `onechannel(.*?)` \|", text, re.MULTILINE)
    assert sorted(f".{name}" for name in listed) == sorted(SUBPATHS)


def test_consumers_compile_every_file_of_types() -> None:
    configurations = [path.read_text("utf-8") for path in COMPILED.glob("tsconfig.*.json")]
    compiled = {name for text in configurations for name in json.loads(text)["files"]}
    assert compiled == {path.name for path in COMPILED.iterdir() if path.suffix != ".json"}


@pytest.mark.parametrize("subpath", SUBPATHS)
def test_consumers_compile_every_export(subpath: str) -> None:
    modules = [".", *SCRIPTS[subpath]] if subpath in SCRIPTS else [subpath]
    of_subpath = set().union(*map(types, modules))
    assert {*CLIENT_EXPORTS[source(subpath)].split(), *of_subpath} <= names_used(subpath, COMPILED)


@pytest.mark.parametrize("subpath", SUBPATHS)
def test_consumers_run_every_export(subpath: str) -> None:
    assert set(CLIENT_EXPORTS[source(subpath)].split()) <= names_used(subpath, *RUN)


@pytest.mark.parametrize("script", SCRIPTS)
def test_global_types_are_those_of_package(script: str) -> None:
    text = (CLIENT_SOURCES / source(script)).read_text("utf-8")
    namespace = text.partition("namespace onechannel {")[2].partition("\n}")[0]
    # That of `./websocket/global` adds to the other.
    module = "./websocket" if SCRIPTS[script] else "."
    names = {*CLIENT_EXPORTS[source(module)].split(), *types(module)}
    assert set(re.findall(r"\w+", namespace)) - {"export"} == names
