"""What received JSON may hold: integers that are exact, and nesting up to a depth. Pure."""

from __future__ import annotations

from functools import cache
from types import GenericAlias
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from transport.protocol.frames import MAX_NUMBER

FAST_DEPTH = 5
"""Levels of arrays and objects in a message that is decoded and checked in one pass."""


@cache
def data_decoder(depth: int) -> msgspec.json.Decoder[list[Any]]:
    """Return a decoder of data that accepts exact integers only, and ``depth`` nested levels, or
    `FAST_DEPTH` if that is less.

    It costs no more than one that accepts everything, while a check of the values would double the
    cost. Its type doubles in size with each level.
    """
    plain: Any = Annotated[int, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)] | float | bool | str | None
    message = plain
    for _ in range(min(depth, FAST_DEPTH)):
        message = plain | GenericAlias(list, (message,)) | GenericAlias(dict, (str, message))
    return msgspec.json.Decoder(GenericAlias(list, (message,)))


def has_large_integer(values: list[Any]) -> bool:
    """Return whether one of ``values`` holds an integer that JavaScript would round (DAT-3)."""
    level = values
    while level:
        inside: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is int:
                if not -MAX_NUMBER <= item <= MAX_NUMBER:
                    return True
            elif kind is list:
                inside += item
            elif kind is dict:
                inside += item.values()
        level = inside
    return False


def is_deeper_than(value: Any, depth: int) -> bool:
    """Return whether arrays and objects are nested deeper than ``depth``."""
    level = [value]
    for _ in range(depth):
        inside: list[Any] = []
        for item in level:
            if type(item) is list:
                inside += item
            elif type(item) is dict:
                inside += item.values()
        if not inside:
            return False
        level = inside
    return any(type(item) in (list, dict) for item in level)
