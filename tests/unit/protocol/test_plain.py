"""What is sent of values that are not of the types that JSON has (DAT-3, DAT-11)."""

from __future__ import annotations

import datetime
import enum
import math
from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import pytest

from transport.errors import Unsendable
from transport.limits import Limits
from transport.protocol.codec import encode_message
from transport.protocol.plain import NotPlain, check_plain, make_plain

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)
LARGEST = 2**53 - 1


class Name(str):
    """A str that shows itself otherwise."""

    __slots__ = ()

    def __str__(self) -> str:
        return "shown"


class Count(int):
    def __int__(self) -> int:
        return 7


class Share(float):
    def __float__(self) -> float:
        return 7.0


class Colour(enum.StrEnum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 2


class Mixed(str, enum.Enum):  # noqa: UP042 - as code of before Python 3.11 has it
    ONE = "one"


class Items(list[Any]):
    """A list of its own type."""


Point = namedtuple("Point", "x y")

moved: OrderedDict[str, int] = OrderedDict(a=1, b=2)
moved.move_to_end("a")


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        (Name("x"), '"x"'),
        (Count(3), "3"),
        (Share(0.5), "0.5"),
        (Colour.RED, '"red"'),
        (Level.HIGH, "2"),
        (Mixed.ONE, '"one"'),
        (moved, '{"b":2,"a":1}'),
        (defaultdict(list, k=[1]), '{"k":[1]}'),
        (Items([Level.HIGH, (1,)]), "[2,[1]]"),
        ({Colour.RED: {"k": Colour.RED}}, '{"red":{"k":"red"}}'),
        ({"a": None, "b": True, "c": Level.HIGH}, '{"a":null,"b":true,"c":2}'),
    ],
    ids=str,
)
def test_value_of_subclass_is_sent_as_its_base(message: Any, payload: str) -> None:
    assert encode_message(message, Limits()) == payload


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (NOON, r"^\$: datetime is not a JSON value.*Hub\(encoder=\.\.\.\)"),
        ({"a": [1, {"at": NOON}]}, r"^\$\.a\[1\]\.at: datetime is not .*Hub\(encoder="),
        ({"two words": {1}}, r"^\$\['two words'\]: set is not"),
        ({Colour.RED: Point(1, 2)}, r"^\$\.red: Point is not"),
        ({"k": b"y"}, r"^\$\.k: bytes can only be a message of their own"),
        ({"k": {1: "x"}}, r"^\$\.k: a key is int"),
        ({"k": math.nan}, r"^\$\.k: JSON has no nan"),
        ([Share(math.inf)], r"^\$\[0\]: JSON has no"),
        ({"k": LARGEST + 1}, r"^\$\.k: the integer 9007199254740992 is beyond"),
        ([Count(-LARGEST - 1)], r"^\$\[0\]: the integer -9007199254740992 is beyond"),
    ],
    ids=str,
)
def test_refusal_names_place_and_type(message: Any, text: str) -> None:
    with pytest.raises(Unsendable, match=text):
        encode_message(message, Limits())


def encode(value: Any) -> Any:
    """Convert datetimes, sets and, wrongly, complex numbers; fail for anything else."""
    match value:
        case datetime.datetime():
            return value.isoformat()
        case set():
            return {"items": sorted(value), "at": NOON}
        case complex():
            return {value}
        case bytes():
            return value.decode()
        case _:
            raise ValueError(f"no form for {value!r}")


def test_encoder_replaces_what_json_lacks() -> None:
    """Its result may need it again, in its parts."""
    message = {"at": NOON, "tags": [{2, 1}], "name": Colour.RED, "raw": b"ab"}
    noon = "2026-01-01T12:00:00+00:00"
    assert make_plain(message, 64, encode) == {
        "at": noon,
        "tags": [{"items": [1, 2], "at": noon}],
        "name": "red",
        "raw": "ab",
    }
    assert make_plain(NOON, 64, encode) == noon


def test_encoder_is_not_asked_for_what_json_has() -> None:
    asked: list[Any] = []
    message = {"a": [1, 1.5, None, True, "x", (1,)], "b": Colour.RED, "c": Items()}
    make_plain(message, 64, asked.append)
    assert asked == []


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"k": 1j}, r"^\$\.k: the encoder, .*, returned set for complex, which is not a JSON"),
        ({"k": object()}, r"^\$\.k: the encoder, .*, failed for object: ValueError: no form"),
    ],
)
def test_encoder_that_cannot_help_is_reported(message: Any, text: str) -> None:
    with pytest.raises(Unsendable, match=text):
        make_plain(message, 64, encode)


def test_encoder_that_never_ends_is_too_deep() -> None:
    with pytest.raises(Unsendable, match="deeper"):
        make_plain({1}, 64, lambda value: [value])


def test_depth_counts_converted_values_too() -> None:
    make_plain([{1}], 2, list)
    with pytest.raises(Unsendable, match="deeper"):
        make_plain([{1}], 1, list)


@pytest.mark.parametrize("value", [Colour.RED, {1: 2}, [NOON], LARGEST + 1, math.nan, [[]]])
def test_check_leaves_all_else_to_conversion(value: Any) -> None:
    with pytest.raises(NotPlain):
        check_plain(value, 1)


class Mapped(dict[str, Any]):
    def items(self) -> Any:
        return [("other", 1j)]


class Listed(list[Any]):
    def __iter__(self) -> Any:
        return iter([1j])


def test_methods_of_subclasses_are_not_asked() -> None:
    moved = OrderedDict(a=1, b=2)
    moved.move_to_end("a")
    value = [Mapped(a=Listed([1])), moved]
    assert encode_message(value, Limits()) == '[{"a":[1]},{"b":2,"a":1}]'


def test_integer_too_long_to_format_is_unsendable() -> None:
    with pytest.raises(Unsendable, match=r"^\$\[0\]: the integer of 16610 bits is beyond 2\^53"):
        make_plain([10**5000], 64)


class Silent(Exception):
    def __str__(self) -> str:
        raise ValueError


def test_error_of_encoder_without_text_is_reported() -> None:
    def fails(value: Any) -> Any:
        raise Silent

    with pytest.raises(Unsendable, match=r"failed for complex: Silent$"):
        make_plain(1j, 64, fails)
