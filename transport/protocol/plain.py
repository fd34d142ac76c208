"""What JSON carries unchanged, and how a message is brought to it (PROTOCOL.md DAT-3).

Nearly every message consists of str, int, float, bool, None, list, tuple and dict with str keys.
`check_plain` makes sure of that, at little cost. Only if it fails, `make_plain` looks for the
reason: a value of a subclass is sent as its base, the application's encoder converts a value of
another type, and anything else is refused, with the place where it was found.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeAlias

from transport.errors import Unsendable
from transport.protocol.frames import MAX_NUMBER, Json

Encoder: TypeAlias = Callable[[Any], Json]
"""An application's function for values that JSON cannot represent: what it returns is sent in their
place. Its result may hold such values again, but not be one."""


MOST_BITS_SHOWN = 256
"""Longer integers are not shown: Python refuses to format some of them."""


class NotPlain(Exception):
    """A message holds a value that JSON, or JavaScript, would not carry unchanged."""


def check_plain(value: Json, depth: int) -> None:
    """Check that JSON carries a message unchanged, in at most ``depth`` arrays and objects.

    Raises:
        NotPlain: it may not: see `make_plain`.
    """
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not -MAX_NUMBER <= value <= MAX_NUMBER:
            raise NotPlain
    elif kind is float:
        if not math.isfinite(value):
            raise NotPlain
    elif (kind is dict or kind is list or kind is tuple) and depth:
        if kind is dict:
            for key in value:
                if type(key) is not str:
                    raise NotPlain
            value = value.values()
        for item in value:
            check_plain(item, depth - 1)
    else:
        raise NotPlain


def make_plain(value: Json, depth: int, encoder: Encoder | None = None, path: str = "$") -> Json:
    """Return a message of types that JSON has.

    Args:
        value: the message, or a part of it.
        depth: how many arrays and objects may be nested.
        encoder: called for a value of any other type; None refuses it.
        path: where in the message ``value`` is, for the error.

    Raises:
        Unsendable: it holds something that cannot be sent; the error says where, and what to do.
    """
    if not _is_json(value):
        value = _convert(value, encoder, path)
    if value is None or isinstance(value, bool):
        return value
    # The methods of the base: those of a subclass may return something else.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        number = int.__int__(value)
        if not -MAX_NUMBER <= number <= MAX_NUMBER:
            bits = number.bit_length()
            shown = number if bits <= MOST_BITS_SHOWN else f"of {bits} bits"
            raise Unsendable(
                f"{path}: the integer {shown} is beyond 2^53 - 1, where JavaScript rounds: send "
                "it as a str"
            )
        return number
    if isinstance(value, float):
        real = float.__float__(value)
        if not math.isfinite(real):
            raise Unsendable(f"{path}: JSON has no {real}: send None or a str")
        return real
    if not depth:
        raise Unsendable("the message is nested deeper than Limits(depth=...)")
    if isinstance(value, dict):
        base = OrderedDict if isinstance(value, OrderedDict) else dict  # it has an order of its own
        return {
            _plain_key(key, path): make_plain(item, depth - 1, encoder, _below(path, key))
            for key, item in base.items(value)
        }
    items = value if type(value) is tuple else list.__iter__(value)
    return [
        make_plain(item, depth - 1, encoder, f"{path}[{index}]") for index, item in enumerate(items)
    ]


def _is_json(value: Any) -> bool:
    """Return whether a value is of a type that JSON has, or of a subclass; tuples have none."""
    return value is None or type(value) is tuple or isinstance(value, (str, int, float, dict, list))


def _convert(value: Any, encoder: Encoder | None, path: str) -> Json:
    """Return what the application's encoder makes of a value that JSON cannot represent."""
    kind = type(value).__name__
    if encoder is None:
        if isinstance(value, (bytes, bytearray, memoryview)):
            raise Unsendable(
                f"{path}: bytes can only be a message of their own, not part of a JSON value"
            )
        raise Unsendable(
            f"{path}: {kind} is not a JSON value: convert it before you send it, or let "
            "Hub(encoder=...) do it for the server, connect(encoder=...) for the client"
        )
    try:
        encoded = encoder(value)
    except Exception as error:
        raise Unsendable(
            f"{path}: the encoder, Hub(encoder=...) or connect(encoder=...), failed for "
            f"{kind}: {_described(error)}"
        ) from error
    if not _is_json(encoded):
        raise Unsendable(
            f"{path}: the encoder, Hub(encoder=...) or connect(encoder=...), returned "
            f"{type(encoded).__name__} for {kind}, which is not a JSON value either"
        )
    return encoded


def _described(error: Exception) -> str:
    """Return the type of an error, and its text if it has one."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - of the application; the error itself is chained
        return type(error).__name__
    return f"{type(error).__name__}: {text}"


def _plain_key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise Unsendable(f"{path}: a key is {type(key).__name__}; JSON has only str keys")
    return str.__str__(key)


def _below(path: str, key: Any) -> str:
    """Return the path of the value of ``key``."""
    name = str.__str__(key)
    return f"{path}.{name}" if name.isidentifier() else f"{path}[{name!r}]"
