"""Uses everything that an installation without extras has."""

import asyncio
import importlib
import pkgutil
from pathlib import Path

from echo_app import app

import transport
import transport.testing
from transport import *  # noqa: F403
from transport.testing import JumpingEventLoop, drive

assert "site-packages" in Path(transport.__file__).parts

assert "connect" not in transport.__all__
assert set(transport.__all__) <= set(globals())
for name in transport.testing.__all__:
    assert getattr(transport.testing, name) is not None

refusals = []
try:
    from transport import connect  # noqa: F401
except ImportError as error:
    refusals.append(str(error))
try:
    transport.RedisStore("redis://localhost")
except ImportError as error:
    refusals.append(str(error))
assert ["onechannel[client]" in text for text in refusals] == [True, False], refusals
assert ["onechannel[redis]" in text for text in refusals] == [False, True], refusals

# Every module but those of the client and of Redis needs no more than this.
NEEDS_EXTRA = ("transport.client", "transport.stores.redis.", "transport.bus.redis.")
for module in pkgutil.walk_packages(transport.__path__, "transport."):
    if not module.name.startswith(NEEDS_EXTRA):
        importlib.import_module(module.name)


async def converse() -> None:
    for transport_name in ("websocket", "sse", "longpoll"):
        async with drive(app, "/chat", transport=transport_name) as page:
            await page.send({"text": "hello"})
            assert await page.receive() == {"text": "hello"}
            page.cut()
            assert await page.resume()
            await page.send(b"bytes")
            assert await page.receive() == b"bytes"


with asyncio.Runner(loop_factory=JumpingEventLoop) as runner:
    runner.run(converse())
asyncio.run(converse())
