"""Checks the functions that an application gives to a hub, when the hub is made.

Without them a mistake would appear with the first page, in the server's log and nowhere else.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import suppress
from typing import Any

MAX_WRAPPERS = 5
"""How many wrappers around a handler are looked through."""

_AWAITABLE = ("Awaitable", "Coroutine", "Future")
_DATA = ("bool", "int", "str", "bytes", "dict", "list", "tuple")
"""Types of results that tell who a user is, but are no identity."""


def check_handler(handler: object) -> None:
    """Check that ``handler`` can be awaited with a channel.

    Raises:
        TypeError: it cannot; the message says why and what is expected.
    """
    _check(handler, "Hub needs a handler, `async def handler(channel)`", 1, "one argument")


def check_authenticate(authenticate: object) -> None:
    """Check that ``authenticate`` can be awaited with a connection and credentials.

    Raises:
        TypeError: it cannot; the message says why and what is expected.
    """
    expected = "Hub(authenticate=...) needs `async def authenticate(connection, credentials)`"
    _check(authenticate, expected, 2, "two arguments")
    declared = _declared_result(_unwrapped(authenticate))
    kinds = [kind.strip().partition("[")[0] for kind in declared.split("|")]
    if any(kind in _DATA for kind in kinds):
        name = getattr(_called(authenticate), "__name__", "it")
        raise TypeError(
            f"{expected}, but {name}() returns {declared}: return an Identity, or None to refuse"
        )


def check_encoder(encoder: object) -> None:
    """Check that ``encoder`` can be called with a value, and is not async.

    Raises:
        TypeError: it cannot; the message says why and what is expected.
    """
    expected = "Hub(encoder=...) needs a function of a value, `def encoder(value)`"
    if not callable(encoder):
        raise TypeError(f"{expected}, not {_described(encoder)}")
    called = _called(encoder)
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        name = getattr(called, "__name__", "it")
        raise TypeError(f"{expected}, but {name}() is async: what it returns is sent at once")
    _check_arguments(encoder, expected, 1, "one argument")


def check_application(app: object) -> None:
    """Check that ``app`` can be called as an ASGI application.

    Raises:
        TypeError: it cannot; the message says why and what is expected.
    """
    expected = "as_websocket needs an ASGI application, `async def app(scope, receive, send)`"
    if not callable(app):
        raise TypeError(f"{expected}, not {_described(app)}")
    route = "a function of a WebSocket goes into a route, WebSocketRoute('/', function)"
    _check_arguments(app, f"{expected} ({route})", 3, "three arguments")


def name_of(function: object) -> str:
    """Return the name by which people know a handler, or an ASGI application.

    The title of a FastAPI application, the name of a route, of a function or of a class, and else
    the name of the object's class. A `functools.partial` has the name of what it calls.
    """
    while isinstance(function, functools.partial):
        function = function.func
    for attribute in ("title", "name", "__qualname__", "__name__"):
        name = getattr(function, attribute, None)
        if isinstance(name, str) and name:
            return name.rpartition("<locals>.")[2]
    return type(function).__name__


def full_name_of(function: object) -> str:
    """Return a handler's module and qualified name, which other handlers of a program do not have.

    Of a wrapper, those of what it wraps, as with `as_websocket`. Of an object that is called, those
    of its class, and its own name if it has one.
    """
    for _ in range(MAX_WRAPPERS):
        if isinstance(function, functools.partial):
            function = function.func
        else:
            function = inspect.getattr_static(function, "__wrapped__", function)
    if hasattr(function, "__qualname__"):
        return f"{function.__module__}.{function.__qualname__}"
    kind = type(function)
    return f"{kind.__module__}.{kind.__qualname__} {name_of(function)}"


def _check(function: Any, expected: str, arguments: int, count: str) -> None:
    if not callable(function):
        raise TypeError(f"{expected}, not {_described(function)}")
    if inspect.isclass(function):
        name = function.__name__
        raise TypeError(f"{expected}, not the class {name}: pass an object of it, {name}(...)")
    called = _called(function)
    name = getattr(called, "__name__", "it")
    if inspect.isasyncgenfunction(called):
        raise TypeError(f"{expected}, but {name}() contains `yield`: it cannot be awaited")
    if _is_plain(function):
        raise TypeError(f"{expected}, but {name}() is not async: write `async def {name}`")
    _check_arguments(function, expected, arguments, count)


def _check_arguments(function: Any, expected: str, arguments: int, count: str) -> None:
    try:
        # A wrapper is called with its own parameters, not with those of what it wraps.
        signature = inspect.signature(function, follow_wrapped=False)
    except (ValueError, NameError):
        return  # written in C, or see `_declared_result`: only the call can tell
    try:
        signature.bind(*[None] * arguments)
    except TypeError as error:
        name = getattr(_called(function), "__name__", "it")
        raise TypeError(
            f"{expected}, but {name}() cannot be called with {count}: {error}"
        ) from None


def _described(value: object) -> str:
    if inspect.iscoroutine(value):
        return "a coroutine: pass the function, without calling it"
    if value is None or isinstance(value, (str, int, float)):
        return repr(value)
    return f"a {type(value).__name__}"


def _called(function: Any) -> Any:
    """Return the function whose code runs in the end, inside partials, methods and wrappers."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isfunction(function):
            inner = inspect.unwrap(function)
            if inner is function:
                return function
            function = inner
        else:
            # An object with a `__call__` of its class; an AsyncMock says itself that it is async.
            call = inspect.getattr_static(type(function), "__call__", None)
            if not inspect.isfunction(call) or inspect.iscoroutinefunction(function):
                return function
            function = call


def _is_plain(function: Any) -> bool:
    """Return whether calling the function certainly returns no awaitable.

    A lambda, a function that declares an awaitable result, and a wrapper of an async function may
    return one. A function that is not written in Python shows it when it is called.
    """
    called = _called(function)
    if not inspect.isfunction(called):
        return False
    declared = _declared_result(called)
    if called.__name__ == "<lambda>" or any(name in declared for name in _AWAITABLE):
        return False
    return not _may_await(function, MAX_WRAPPERS)


def _unwrapped(function: Any) -> Any:
    """Return what is called, the ``__call__`` of an object; None if that is a wrapper.

    What a wrapped function says is not what its wrapper returns.
    """
    if not inspect.isroutine(function):
        function = inspect.getattr_static(type(function), "__call__", None)
    return None if hasattr(function, "__wrapped__") else function


def _declared_result(function: Any) -> str:
    """Return what a function says that it returns; "" if it says nothing.

    Python 3.14 evaluates annotations here, not when the function is made: names that only a type
    checker imports are missing.
    """
    with suppress(AttributeError, NameError):
        declared = function.__annotations__.get("return", "")
        return declared.__name__ if inspect.isclass(declared) else str(declared)
    return ""


def _may_await(function: Any, depth: int) -> bool:
    """Return whether a function is async, or holds one that is: in a closure or an attribute."""
    called = _called(function)
    if inspect.iscoroutinefunction(called):
        return True
    if depth == 0 or not inspect.isfunction(called):
        return False
    held = []
    for cell in called.__closure__ or ():
        with suppress(ValueError):  # it is empty
            held.append(cell.cell_contents)
    if not inspect.isroutine(function):
        held += getattr(function, "__dict__", {}).values()
    return any(callable(each) and _may_await(each, depth - 1) for each in held)
