"""What a process remembers of the homes of sessions may be wrong: a client learns nothing of it."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.unit.server.stored.conftest import Processes, processes
from tests.unit.server.stored.test_deaths import tell
from transport.server.relay.stored_homes import StoredHomes
from transport.stores.remote.times import Times
from transport.testing import drive


class Watched:
    """The processes, as clients reach them.

    Attributes:
        errors: what was refused.
    """

    def __init__(self, each: Processes) -> None:
        self.errors: list[str] = []
        self._each = each

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            body = message.get("body") or message.get("text") or b""
            text = body if isinstance(body, str) else body.decode()
            if '"type":"error"' in text:
                self.errors.append(text)
            await send(message)

        await self._each.cluster(scope, receive, watch)


def mislead(each: Processes, session_id: str, home: str) -> None:
    """Let all living processes remember another home of a session."""
    for index in range(len(each.cluster)):
        runtime = each.hub(index)._lifecycle.current
        if each.cluster[index].is_alive and runtime is not None:
            assert runtime._relay is not None
            homes = runtime._relay.openings._homes
            assert isinstance(homes, StoredHomes)
            homes.learn(session_id, home)


@pytest.mark.parametrize("which", ["alive", "dead", "unknown", "stopped"])
@pytest.mark.parametrize("transport", ["sse", "longpoll"])
async def test_wrong_hints_cost_no_error(transport: str, which: str) -> None:
    async with processes(count=5) as each:
        await asyncio.sleep(20)
        names = [process.stores[0].name for process in each.cluster._processes]
        each.cluster.kill(3)
        each.go_to(0)
        watched = Watched(each)
        async with drive(watched, transport=transport) as page:
            await tell(page, "a")
            each.cluster.stop(4)
            await asyncio.sleep(7.0)
            wrong = {"alive": names[1], "dead": names[3], "stopped": names[4]}
            for index in (1, 2, 1, 2):
                assert page.id is not None
                mislead(each, page.id, wrong.get(which, "0" * 12))
                each.go_to(index)
                await tell(page, "b", within=20.0)
            assert each.home == 0
            assert watched.errors == []


async def test_post_reaches_a_home_that_the_edge_has_not_met() -> None:
    """The home stood still while the edge started, so that it counted as gone."""
    async with processes() as each, drive(each.cluster, transport="sse") as page:
        await tell(page, "a")
        await asyncio.sleep(Times().grace)  # of a store that is new
        home = each.home
        page.cut()
        each.cluster.stop(home)
        await asyncio.sleep(Times().lease + 1)
        edge = await each.cluster.start()
        each.cluster.go_on(home)
        await asyncio.sleep(20)
        each.go_to(home)
        assert await page.resume()
        each.go_to(edge)
        await tell(page, "b", within=1.0)
        assert (each.home, each.resumed) == (home, [False])
