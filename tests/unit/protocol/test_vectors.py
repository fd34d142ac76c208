"""Run the vectors of `tests/vectors` on the core: all frames, and the sessions of both sides."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tests.unit.protocol.bench import Bench
from tests.unit.protocol.client_bench import ClientBench
from tests.unit.protocol.vector_forms import from_wire
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
from transport.protocol.frames import NOTHING, ClientControl, Data, EncodedFrame, ServerControl

FOLDER = Path(__file__).parents[2] / "vectors"
FILES = sorted(path for path in FOLDER.glob("*.json") if path.name != "schema.json")


def load(*roles: str, kinds: tuple[str, ...]) -> list[Any]:
    """Return the vectors of these roles and kinds, as parameters."""
    return [
        pytest.param(vector, id=vector["id"])
        for path in FILES
        for vector in json.loads(path.read_text("utf-8"))["vectors"]
        if vector["role"] in roles and vector["kind"] in kinds
    ]


SESSIONS = load("server", kinds=("session",))
CLIENT_SESSIONS = load("client", kinds=("session",))
FRAMES = load("client", "server", "both", kinds=("decode", "encode"))


class Mismatch(AssertionError):
    """The outcome is not the expected one."""


def bind(value: Any, names: dict[str, Any]) -> Any:
    """Return a ``do`` with the values that its names were bound to."""
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
    """Return whether ``actual`` is what is expected; bind names at their first occurrence."""
    if isinstance(expected, str) and expected.startswith("$"):
        if expected != "$any" and names.setdefault(expected, actual) != actual:
            raise Mismatch(f"{where}: {actual!r} is not {expected}, {names[expected]!r}")
    elif isinstance(expected, dict) and isinstance(actual, dict):
        if expected.get("type") == "opened":
            actual = {key: item for key, item in actual.items() if key in expected}
        if expected.keys() != actual.keys():
            raise Mismatch(f"{where}: {actual} is not {expected}")
        for key, item in expected.items():
            compare(item, actual[key], names, f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            raise Mismatch(f"{where}: {actual} is not {expected}")
        for index, (one, other) in enumerate(zip(expected, actual, strict=True)):
            compare(one, other, names, f"{where}[{index}]")
    elif isinstance(expected, bool) is not isinstance(actual, bool) or expected != actual:
        raise Mismatch(f"{where}: {actual!r} is not {expected!r}")


def test_there_are_vectors() -> None:
    assert SESSIONS
    assert CLIENT_SESSIONS
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
    run_session(vector, journaled=False)


@pytest.mark.parametrize("vector", SESSIONS)
def test_stored_session(vector: dict[str, Any]) -> None:
    """A session that a store keeps does the same, once everything is stored."""
    run_session(vector, journaled=True)


def run_session(vector: dict[str, Any], *, journaled: bool) -> None:
    limits = Limits(**vector.get("limits", {}))
    bench = Bench(limits, has_inner=vector.get("has_inner", False), journaled=journaled)
    names: dict[str, Any] = {}
    for number, step in enumerate(vector["steps"], 1):
        result = bench.run(bind(step, names), step.get("at", bench.now))
        compare(step["expect"], result, names, f"step {number}")


@pytest.mark.parametrize("vector", CLIENT_SESSIONS)
def test_client_session(vector: dict[str, Any]) -> None:
    bench = ClientBench(vector.get("target"))
    names: dict[str, Any] = {}
    for number, step in enumerate(vector["steps"], 1):
        result = bench.run(bind(step, names), step.get("at", bench.now))
        compare(step["expect"], result, names, f"step {number}")


@pytest.mark.parametrize("vector", [one for one in FRAMES if one.values[0]["kind"] == "decode"])
def test_decode(vector: dict[str, Any]) -> None:
    wire = bytes.fromhex(vector["input_hex"]) if "input_hex" in vector else vector["input"]
    for side in SIDES[vector["role"]]:
        decoder = Decoder(Limits(), side)
        if "error" not in vector:
            compare(vector["frame"], written(decoder.decode(wire)), {})
            continue
        with pytest.raises(ProtocolError) as caught:
            decoder.decode(wire)
        assert caught.value.code.name == vector["error"]


@pytest.mark.parametrize("vector", [one for one in FRAMES if one.values[0]["kind"] == "encode"])
def test_encode(vector: dict[str, Any]) -> None:
    frame, binary = vector["frame"], vector.get("carrier") == "binary"
    expected = bytes.fromhex(vector["output_hex"]) if binary else vector["output"]
    wires: list[EncodedFrame] = []
    if isinstance(frame, list):
        seq, ack, *messages = frame
        payloads = [encode_message(message, Limits()) for message in messages]
        wires.append(encode_data(seq, ack, [str(payload) for payload in payloads]))
    elif frame["type"] == "bytes":
        payload = base64.b64decode(frame["data"])
        wires.append(encode_bytes(frame["number"], frame["ack"], payload, binary=binary))
    else:
        wires += [encode_control(msgspec.convert(frame, side)) for side in SIDES[vector["role"]]]
    assert all(wire == expected for wire in wires), wires


SIDES: dict[str, list[Any]] = {
    "server": [ClientControl],
    "client": [ServerControl],
    "both": [ClientControl, ServerControl],
}
"""Whose frames a role reads."""


def written(frame: Data | Oversized | ClientControl | ServerControl) -> Any:
    """Return a decoded frame in the form of a vector."""
    assert not isinstance(frame, Oversized)
    if not isinstance(frame, Data):
        return json.loads(encode_control(frame))
    if frame.messages[0] is NOTHING:
        return [frame.seq, frame.ack]
    if isinstance(frame.messages[0], bytes):
        return from_wire(encode_bytes(frame.seq, frame.ack, frame.messages[0], binary=True))
    return [frame.seq, frame.ack, *frame.messages]
