"""What a hub is given: mistakes are reported by the constructor, and say what is expected."""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest
from starlette.requests import HTTPConnection

from tests.support.confirmed_socket import confirmed_socket
from transport import Channel, Hub, Identity, MemoryStore
from transport.testing import ask, lines, opening


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def echo_with(prefix: str, channel: Channel) -> None:
    async for message in channel:
        await channel.send(f"{prefix}{message}")


async def echo_with_option(channel: Channel, prefix: str = "") -> None:
    await echo_with(prefix, channel)


class Chat:
    """Handlers that are not plain functions."""

    async def __call__(self, channel: Channel) -> None:
        await echo(channel)

    async def serve(self, channel: Channel) -> None:
        await echo(channel)

    @classmethod
    async def of_class(cls, channel: Channel) -> None:
        await echo(channel)

    @staticmethod
    async def static(channel: Channel) -> None:
        await echo(channel)


def logged(handler: Callable[..., Any]) -> Any:
    """A decorator as people write it: a plain function that returns the coroutine."""

    @functools.wraps(handler)
    def wrapper(*arguments: Any) -> Any:
        return handler(*arguments)

    return wrapper


def injected(handler: Callable[[str, Channel], Awaitable[None]]) -> Any:
    """A decorator that adds an argument, so the wrapped function has another signature."""

    @functools.wraps(handler)
    async def wrapper(channel: Channel) -> None:
        await handler("", channel)

    return wrapper


def bare(handler: Callable[..., Any]) -> Any:
    """A decorator that does not use ``functools.wraps``."""

    def wrapper(channel: Channel) -> Any:
        return handler(channel)

    return wrapper


class Wrapper:
    """A decorator that is a class."""

    def __init__(self, handler: Callable[..., Any]) -> None:
        self.handler = handler

    def __call__(self, channel: Channel) -> Any:
        return self.handler(channel)


def make(channel: Channel) -> Awaitable[None]:
    return echo(channel)


HANDLERS: list[Any] = [
    echo,
    echo_with_option,
    Chat(),
    Chat().serve,
    Chat.of_class,
    Chat.static,
    functools.partial(echo_with, ""),
    functools.partial(
        Chat(),
    ),
    functools.partial(functools.partial(echo_with, "")),
    logged(echo),
    logged(Chat().serve),
    injected(echo_with),
    bare(echo),
    bare(Chat()),
    Wrapper(echo),
    Wrapper(bare(Chat().serve)),
    lambda channel: echo(channel),
    make,
    AsyncMock(wraps=echo),
]


@pytest.mark.parametrize("handler", HANDLERS)
async def test_hub_accepts_any_async_callable(handler: Any) -> None:
    hub = Hub(handler)
    async with hub.lifespan(), confirmed_socket(hub) as ws:
        ws.send([1, 0, "x"])
        assert await ws.frame() == [1, 1, "x"]


LATE_ANNOTATIONS = """
async def handler(channel: OnlyForTypeCheckers) -> OnlyForTypeCheckers: ...
async def authenticate(connection: OnlyForTypeCheckers, credentials) -> OnlyForTypeCheckers: ...
"""


def test_hub_accepts_annotations_that_are_missing_at_run_time() -> None:
    """From Python 3.14 on, annotations are evaluated when they are read."""
    source = LATE_ANNOTATIONS
    if sys.version_info < (3, 14):
        source = "from __future__ import annotations" + source
    made: dict[str, Any] = {}
    exec(compile(source, "late", "exec", dont_inherit=True), made)
    Hub(made["handler"], authenticate=made["authenticate"])


def plain(channel: Channel) -> None:
    """A handler without ``async``."""


async def without_parameter() -> None:
    """A handler that forgot its channel."""


async def with_two(channel: Channel, user: str) -> None:
    """A handler that expects what no hub passes."""


async def keyword_only(*, channel: Channel) -> None:
    """A handler that cannot be called with a positional argument."""


async def generator(channel: Channel) -> AsyncIterator[str]:
    """A handler with ``yield``."""
    yield "x"


class Plain:
    """A callable object without ``async``, and a class that is no handler."""

    def __call__(self, channel: Channel) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        (None, "not None"),
        ("x", "not 'x'"),
        (7, "not 7"),
        (Hub(echo), r"__call__\(\) cannot be called with one argument"),
        (plain, "write `async def plain`"),
        (Plain(), "write `async def __call__`"),
        (functools.partial(plain), "write `async def plain`"),
        (logged(plain), "write `async def plain`"),
        (bare(plain), "write `async def wrapper`"),
        (Wrapper(plain), "write `async def __call__`"),
        (Chat, "not the class Chat: pass an object of it"),
        (without_parameter, r"without_parameter\(\) cannot be called with one argument"),
        (with_two, r"with_two\(\) cannot be called with one argument"),
        (keyword_only, r"keyword_only\(\) cannot be called with one argument"),
        (generator, "contains `yield`"),
    ],
)
def test_hub_refuses_handler_it_cannot_await(handler: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem) as caught:
        Hub(handler)
    assert "async def handler(channel)" in str(caught.value)


def test_hub_refuses_coroutine_of_called_handler() -> None:
    called: Any = without_parameter()
    with pytest.raises(TypeError, match="not a coroutine: pass the function, without calling it"):
        Hub(called)
    called.close()


async def test_handler_that_returns_no_awaitable_is_explained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A lambda shows only when it is called whether it returns a coroutine."""
    hub = Hub(lambda channel: None)  # type: ignore[arg-type, return-value]
    await ask(hub, "/poll", lines(opening()))
    await hub.drain()
    assert "the handler must be async: write `async def handler(channel)`" in caplog.text


def plain_check(connection: HTTPConnection, credentials: Any) -> Identity:
    return Identity("ada")


async def check_connection(connection: HTTPConnection) -> Identity:
    return Identity("ada")


async def check_as_bool(connection: HTTPConnection, credentials: Any) -> bool:
    return True


async def check_as_name(connection: HTTPConnection, credentials: Any) -> str | None:
    return "ada"


class Check:
    """An `authenticate` whose result is declared."""

    async def __call__(self, connection: HTTPConnection, credentials: Any) -> dict[str, str]:
        return {}


@pytest.mark.parametrize(
    ("authenticate", "problem"),
    [
        ("x", "not 'x'"),
        (plain_check, "write `async def plain_check`"),
        (check_connection, r"check_connection\(\) cannot be called with two arguments"),
        (check_as_bool, r"check_as_bool\(\) returns bool: return an Identity, or None to refuse"),
        (check_as_name, r"check_as_name\(\) returns str | None: return an Identity"),
        (Check(), r"__call__\(\) returns dict"),
    ],
)
def test_hub_refuses_authenticate_it_cannot_await(authenticate: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem) as caught:
        Hub(echo, authenticate=authenticate)
    assert "async def authenticate(connection, credentials)" in str(caught.value)


async def dict_check(connection: HTTPConnection, credentials: Any) -> Any:
    return {"id": 1}


async def int_check(connection: HTTPConnection, credentials: Any) -> Any:
    return Identity(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("authenticate", "explanation"),
    [
        (lambda *_: Identity("ada"), "authenticate must be async"),
        (dict_check, "authenticate must return an Identity or None, not a dict"),
        (int_check, "write Identity(str(...))"),
    ],
)
async def test_mistake_in_authenticate_is_explained_in_log(
    authenticate: Any, explanation: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await ask(Hub(echo, authenticate=authenticate), "/poll", lines(opening()))
    assert (answer.status, answer.frames[0]["code"]) == (503, "unavailable")
    assert explanation in caplog.text
    assert "its log says why" in answer.frames[0]["message"]


class EmptyStore(MemoryStore):
    """A store that is falsy while it is empty."""

    opened = 0

    def __len__(self) -> int:
        return 0

    async def open(self, *arguments: Any) -> Any:
        self.opened += 1
        return await super().open(*arguments)


async def test_store_that_is_falsy_is_used() -> None:
    store = EmptyStore()
    await ask(Hub(echo, store=store), "/poll", lines(opening()))
    assert store.opened == 1


@pytest.mark.parametrize("limits", [None, {"ttl": 300}, 5])
def test_hub_refuses_limits_of_other_type(limits: Any) -> None:
    with pytest.raises(TypeError, match=r"limits=Limits\(ttl=300\)"):
        Hub(echo, limits=limits)


@pytest.mark.parametrize("transports", [[], (), "", ["carrier-pigeon"], "sse", ["sse", "ws"]])
def test_hub_refuses_transports_it_cannot_serve(transports: Any) -> None:
    """With an empty list, a hub would serve nothing and answer 404 to everything."""
    with pytest.raises(ValueError, match="transports must be a list of any of"):
        Hub(echo, transports=transports)


@pytest.mark.parametrize("name", [1, None, b"lobby"])
def test_group_refuses_name_that_is_no_str(name: Any) -> None:
    with pytest.raises(TypeError, match="a group's name is a str"):
        Hub(echo).group(name)


@pytest.mark.parametrize("method", ["add", "discard"])
@pytest.mark.parametrize(("member", "given"), [("a7", "str"), (None, "NoneType"), (Hub, "type")])
def test_group_refuses_member_that_is_no_channel(method: str, member: Any, given: str) -> None:
    group = Hub(echo).group("lobby")
    with pytest.raises(TypeError, match=rf"group\.{method} takes a Channel.* not a {given}"):
        getattr(group, method)(member)


@pytest.mark.parametrize("wrong", [7, None, b"a7", Hub(echo)])
async def test_send_to_refuses_id_that_is_no_str(wrong: Any) -> None:
    """Another value would find no channel, as an id whose channel is closed does."""
    with pytest.raises(TypeError, match=r"hub\.send_to takes the id of a channel, channel\.id"):
        await Hub(echo).send_to(wrong, "x")


async def test_send_to_unknown_channel_returns_false() -> None:
    hub = Hub(echo)
    assert not await hub.send_to("a7", "x")
    async with hub.lifespan():
        assert not await hub.send_to("a7", "x")
        await hub.broadcast("x")
