"""The vectors of `tests/vectors`, run over the core: roles ``server`` and ``both``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tests.protocol.bench import Bench, from_wire, to_wire
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import (
    Decoder,
    Oversized,
    encode_bytes,
    encode_control,
    encode_data,
    encode_message,
)
from transport.protocol.frames import ClientControl, Data, ServerControl, Wire

FOLDER = Path(__file__).parents[1] / "vectors"
FILES = sorted(path for path in FOLDER.glob("*.json") if path.name != "schema.json")


def load(*roles: str, kinds: tuple[str, ...]) -> list[Any]:
    """The vectors of these roles and kinds, as parameters."""
    return [
        pytest.param(vector, id=vector["id"])
        for path in FILES
        for vector in json.loads(path.read_text("utf-8"))["vectors"]
        if vector["role"] in roles and vector["kind"] in kinds
    ]


SESSIONS = load("server", kinds=("session",))
FRAMES = load("server", "both", kinds=("decode", "encode"))


class Mismatch(AssertionError):
    """What came is not what was expected."""


def bind(value: Any, names: dict[str, Any]) -> Any:
    """A ``do`` with the values that its names were bound to."""
    match value:
        case str() if value in names:
            return names[value]
        case dict():
            return {key: bind(item, names) for key, item in value.items()}
        case list():
            return [bind(item, names) for item in value]
        case _:
            return value


def compare(expected: Any, actual: Any, names: dict[str, Any], where: str = "") -> None:
    """Whether ``actual`` is what is expected; binds the names that are met first."""
    if isinstance(expected, str) and expected.startswith("$"):
        if expected != "$any" and names.setdefault(expected, actual) != actual:
            raise Mismatch(f"{where}: {actual!r} is not {expected}, {names[expected]!r}")
    elif isinstance(expected, dict) and isinstance(actual, dict):
        keys = expected.keys() - {"$bytes"} if expected.get("type") == "opened" else actual.keys()
        if missing := expected.keys() ^ (actual.keys() & expected.keys() | (keys - expected.keys())):
            raise Mismatch(f"{where}: {sorted(missing)} in only one of {expected} and {actual}")
        for key, item in expected.items():
            compare(item, actual[key], names, f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            raise Mismatch(f"{where}: {actual} is not {expected}")
        for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
            compare(one, other, names, f"{where}[{index}]")
    elif type(expected) is not type(actual) or expected != actual:
        raise Mismatch(f"{where}: {actual!r} is not {expected!r}")


def test_there_are_vectors() -> None:
    assert SESSIONS
    assert FRAMES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_schema(path: Path) -> None:
    schema = json.loads((FOLDER / "schema.json").read_text("utf-8"))
    content = json.loads(path.read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(content)
    ids = [vector["id"] for vector in content["vectors"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("vector", SESSIONS)
def test_session(vector: dict[str, Any]) -> None:
    bench = Bench(Limits(**vector.get("limits", {})))
    names: dict[str, Any] = {}
    for number, step in enumerate(vector["steps"], 1):
        do = bind({key: value for key, value in step.items() if key != "expect"}, names)
        compare(step["expect"], bench.run(do), names, f"step {number}")
