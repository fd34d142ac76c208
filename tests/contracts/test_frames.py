"""The types of frames in PROTOCOL.md are those of both implementations.

Compared are the names of all fields, whether they may be absent, and their types. For Python these
include the ranges and patterns of the document's own types (section 2).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from msgspec import inspect

from tests.contracts.protocol_text import FRAMES, PROTOCOL, Field, interfaces, rows, rows_after
from transport import Limits
from transport.protocol import frames
from transport.protocol.frames import MAX_NUMBER, ClientControl, ResetReason, ServerControl

ROOT = Path(__file__).parents[2]

PYTHON = {
    one.__name__: one for one in (*get_args(ClientControl), *get_args(ServerControl), frames.Loss)
}
"""The frames of both sides, and what they contain, by the names of their classes."""

TYPES: list[tuple[inspect.Type, str]] = [
    (inspect.AnyType(), "Json"),
    (inspect.BoolType(), "boolean"),
    (inspect.BytesType(), "string"),  # as base64
    (inspect.FloatType(), "number"),
    (inspect.FloatType(ge=0), "Seconds"),
    (inspect.IntType(), "number"),
    (inspect.IntType(ge=0, le=MAX_NUMBER), "Mark"),
    (inspect.IntType(ge=1, le=MAX_NUMBER), "Count"),
    (inspect.NoneType(), "null"),
    (inspect.StrType(), "string"),
    (inspect.ListType(inspect.StrType(min_length=1, max_length=64), max_length=32), "Kinds"),
    (inspect.StrType(min_length=1, max_length=128), "Token"),
    (inspect.StrType(pattern=r"\A[A-Za-z0-9_-]{16,64}\Z"), "ClientId"),
    (inspect.StrType(pattern=r"\A[A-Za-z0-9_-]{22,64}\Z"), "Nonce"),
]
"""The document's name of each type of Python that has one."""

PAGE = interfaces((ROOT / "client_js/src/frames.ts").read_text("utf-8"))

NOT_SENT = {("Open", "kinds")}
"""Fields that a page never sends, so that its types have none of them."""


def name_of(kind: inspect.Type) -> str:
    """Return the document's name of a type of Python."""
    for known, name in TYPES:
        if known == kind:
            return name
    match kind:
        case inspect.ListType(item_type=item):
            inner = name_of(item)
            return f"({inner})[]" if "|" in inner else f"{inner}[]"
        case inspect.DictType(key_type=inspect.StrType(), value_type=value):
            return f"Record<string, {name_of(value)}>"
        case inspect.UnionType(types=types):
            return " | ".join(map(name_of, types))
        case inspect.EnumType(cls=cls):
            # A client takes any reason; section 4 has the list.
            return "string" if cls is ResetReason else " | ".join(f'"{one}"' for one in cls)
        case inspect.LiteralType(values=values):
            return " | ".join(f'"{one}"' for one in values)
        case inspect.StructType(cls=cls, tag=None) if cls.__name__ in FRAMES:
            return cls.__name__
        case inspect.StructType(fields=fields):
            listed = [
                f"{one.encode_name}{'' if one.required else '?'}: {name_of(one.type)}"
                for one in fields
            ]
            return f"{{ {'; '.join(listed)} }}"
        case _:
            raise AssertionError(f"the document has no name for {kind}")


def fields_of(struct: type[msgspec.Struct]) -> dict[str, Field]:
    """Return the fields of a frame as Python reads and writes it."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    fields = {} if info.tag is None else {"type": Field(f'"{info.tag}"', optional=False)}
    for one in info.fields:
        fields[one.encode_name] = Field(name_of(one.type), optional=not one.required)
    return fields


def page_field(field: Field) -> Field:
    """Return a field of the document with the types that TypeScript has for it."""
    kind = re.sub(r"\b(?:Mark|Count|Seconds)\b", "number", field.type)
    kind = re.sub(r"\b(?:ClientId|Nonce|Token)\b", "string", kind)
    return Field(kind.replace("Kinds", "string[]").replace("Json", "unknown"), field.optional)


def test_document_has_all_frames() -> None:
    assert set(FRAMES) == set(PYTHON)


@pytest.mark.parametrize("name", PYTHON)
def test_frame_of_python_matches_document(name: str) -> None:
    assert fields_of(PYTHON[name]) == FRAMES[name]


@pytest.mark.parametrize("name", FRAMES)
def test_frame_of_page_matches_document(name: str) -> None:
    documented = {
        field: page_field(kind)
        for field, kind in FRAMES[name].items()
        if (name, field) not in NOT_SENT
    }
    ours = PAGE[name if name == "Loss" else f"{name}Frame"]
    aliases = {"LostRange": "(number | null)[]", "Partial<Limits>": "Record<string, number>"}
    aliases["Partial<Timings>"] = aliases["Partial<Limits>"]
    kinds = {field: kind.type for field, kind in ours.items()}
    for alias, kind in aliases.items():
        kinds = {field: text.replace(alias, kind) for field, text in kinds.items()}
    assert {field: Field(kinds[field], ours[field].optional) for field in ours} == documented


def test_headings_tell_direction_of_frames() -> None:
    headings = re.findall(r"^### (.*)$", PROTOCOL, re.MULTILINE)
    told = {
        (name, direction): heading
        for heading in headings
        for names, direction in re.findall(r"(`[^(]*|Data[^(]*)\((both|server|client)", heading)
        for name in re.findall(r"`(\w+)`", names)
    }
    client = {_tag(one) for one in get_args(ClientControl)}
    server = {_tag(one) for one in get_args(ServerControl)}
    for tag in {*client, *server} - {"renew"}:  # its heading names both directions
        direction = "both" if tag in client & server else "client" if tag in client else "server"
        assert (tag, direction) in told, tag


def _tag(struct: type[msgspec.Struct]) -> str:
    return str(struct.__struct_config__.tag)


def test_reasons_of_reset_match_document() -> None:
    assert [row[0] for row in rows_after("RES-5")] == [f"`{one}`" for one in ResetReason]


def test_advertised_names_match_page() -> None:
    """Section 12 names what `opened` advertises; a page reads these names and no others."""
    documented = set(re.findall(r"`(\w+)`", " ".join(row[0] for row in rows("12"))))
    limits, timings = Limits().advertised_limits(), Limits().advertised_timings()
    assert {*limits, *timings} == documented - {"leave"}
    assert set(PAGE["Limits"]) == set(limits)
    assert set(PAGE["Timings"]) <= set(timings)
