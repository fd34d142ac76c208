"""A later release of this package, whose layout in Redis is the same.

What its processes tell others, and what they write, has more in it than this release knows: each
item, message, record, tombstone, and entry of a topic has a field more, and after each item comes
one of another type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import json, msgpack

from tests.support.later_items import News, encode_item
from transport.bus.items import Item
from transport.bus.redis import pipe, roster
from transport.bus.redis.messages import Message
from transport.bus.redis.pipe import RedisPipe
from transport.protocol.journal import Image
from transport.protocol.server import closing, journaled
from transport.protocol.topic_log import Publication, encode_tail
from transport.server import journal
from transport.stores.redis import calls, topic_commands, writes
from transport.stores.redis.records import Value, encode_fields

_send = RedisPipe.send


def _send_more(one: RedisPipe, item: Item) -> None:
    _send(one, item)
    _send(one, News())  # type: ignore[arg-type]


def _encode_message(message: Message) -> bytes:
    return msgpack.encode([*msgpack.decode(msgpack.encode(message)), "red"])


def _encode_fields(image: Image) -> list[Value]:
    return [*encode_fields(image), "colour", "red"]


def _encode_tail(publication: Publication) -> bytes:
    head, _, rest = encode_tail(publication).partition(b"\n")
    return b"%s red\n%s" % (head, rest)


def _encode_json(one: Any) -> bytes:
    return json.encode({**json.decode(json.encode(one)), "colour": "red"})


def become_later() -> None:
    """Let this process be one of the later release."""
    RedisPipe.send = _send_more  # type: ignore[assignment]
    changes: dict[str, tuple[Callable[..., Any], list[Any]]] = {
        "encode_item": (encode_item, [pipe]),
        "encode_message": (_encode_message, [roster]),
        "encode_fields": (_encode_fields, [calls, writes]),
        "encode_tail": (_encode_tail, [topic_commands]),
        "encode_close": (_encode_json, [closing]),
        "encode_tombstone": (_encode_json, [journaled, journal]),
    }
    for name, (function, modules) in changes.items():
        for module in modules:
            assert hasattr(module, name)
            setattr(module, name, function)
