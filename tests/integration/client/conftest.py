"""Run the tests of the client under anyio's runner, and again under plain `asyncio.run`.

Programs that use the client run under either, and anyio's runner is the more lenient of the two: it
tells anyio everywhere, in callbacks too, that asyncio is running.
"""

from __future__ import annotations

import asyncio
import inspect

import pytest

RUNNERS = ("anyio", "asyncio.run")
MODULES = ("test_connect", "test_close")
"""The modules that run under both."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    module = metafunc.module.__name__.rpartition(".")[2]
    if inspect.iscoroutinefunction(metafunc.function) and module in MODULES:
        metafunc.fixturenames.append("runner")
        metafunc.parametrize("runner", RUNNERS)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    parameters = pyfuncitem.callspec.params if hasattr(pyfuncitem, "callspec") else {}
    if parameters.get("runner") != "asyncio.run":
        return None  # anyio's plugin runs it
    names = inspect.signature(pyfuncitem.function).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
