"""What a later release tells other processes: more than this release knows."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, msgpack


class News(Struct, tag="news", tag_field="type"):
    """An item that this release does not know."""

    text: str = "x"


def encode_item(item: Any) -> bytes:
    """Encode an item with a field more, and its question or answer with one, too."""
    fields = msgpack.decode(msgpack.encode(item))
    for each in (fields, fields.get("body")):
        if isinstance(each, dict):
            each["colour"] = "red"
    return msgpack.encode(fields)
