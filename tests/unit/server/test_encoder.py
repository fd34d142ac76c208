"""`Hub(encoder=...)`: values that JSON cannot represent, on every way out."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import uuid
from typing import Any

import pytest
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel

from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from transport import Channel, Hub, Unsendable
from transport.testing import drive

NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


class Model(BaseModel):
    name: str
    at: datetime.datetime


@dataclasses.dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = "red"


VALUES: list[tuple[Any, Any]] = [
    (NOON, "2026-01-01T12:00:00+00:00"),
    (datetime.timedelta(seconds=90), 90.0),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (decimal.Decimal("1.5"), 1.5),
    (Colour.RED, "red"),
    (Point(1), {"x": 1}),
    (Model(name="n", at=NOON), {"name": "n", "at": "2026-01-01T12:00:00Z"}),
    ({1}, [1]),
]


async def waits(channel: Channel) -> None:
    await channel.wait_closed()


@pytest.mark.parametrize(("value", "received"), VALUES, ids=[type(v).__name__ for v, _ in VALUES])
async def test_encoder_of_fastapi_fits(value: Any, received: Any) -> None:
    async def sends(channel: Channel) -> None:
        await channel.send({"value": [value]})
        await channel.wait_closed()

    async with drive(Hub(sends, encoder=jsonable_encoder)) as page:
        assert await page.receive() == {"value": [received]}


async def test_every_send_of_hub_uses_its_encoder() -> None:
    hub = Hub(waits, encoder=str)
    async with drive(hub) as page:
        [channel] = hub.channels
        await hub.group("all").add(channel)
        await channel.send({"by": NOON})
        await hub.group("all").send({"by": NOON})
        await hub.broadcast({"by": NOON})
        await hub.send_to(channel.id, {"by": NOON})
        for _ in range(4):
            assert await page.receive() == {"by": str(NOON)}


async def test_send_without_encoder_says_what_to_do() -> None:
    hub = Hub(waits)
    async with drive(hub) as page:
        [channel] = hub.channels
        with pytest.raises(Unsendable, match=r"^\$\.at: datetime .* Hub\(encoder=\.\.\.\)"):
            await channel.send({"at": NOON})
        with pytest.raises(Unsendable, match=r"^\$\[0\]: Point "):
            await hub.broadcast([Point(1)])
        await channel.send("and goes on")
        assert await page.receive() == "and goes on"


async def test_page_of_test_has_an_encoder_too() -> None:
    received: list[Any] = []

    async def takes(channel: Channel) -> None:
        received.append(await channel.receive())
        await channel.wait_closed()

    async with drive(Hub(takes), encoder=str) as page:
        await page.acknowledged(await page.send({"at": NOON}))
    assert received == [{"at": str(NOON)}]


async def is_async(value: Any) -> Any:
    return str(value)


class Encodes:
    async def __call__(self, value: Any) -> Any:
        return str(value)


def takes_nothing() -> str:
    return ""


@pytest.mark.parametrize(
    ("encoder", "problem"),
    [
        (is_async, r"is_async\(\) is async"),
        (functools.partial(is_async), r"is_async\(\) is async"),
        (Encodes(), r"__call__\(\) is async"),
        (takes_nothing, r"takes_nothing\(\) cannot be called with one argument"),
        ("json", "not 'json'"),
    ],
)
def test_encoder_that_cannot_work_is_refused(encoder: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=rf"Hub\(encoder=\.\.\.\) needs .*{problem}"):
        Hub(waits, encoder=encoder)


@pytest.mark.parametrize("encoder", [str, repr, jsonable_encoder, functools.partial(str)])
def test_encoder_of_any_kind_is_taken(encoder: Any) -> None:
    Hub(waits, encoder=encoder)
