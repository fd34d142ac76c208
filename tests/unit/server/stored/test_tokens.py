"""The tokens of sessions that any process may go on with."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.types import ASGIApp

from tests.unit.server.stored.conftest import processes, until
from tests.unit.server.stored.test_deaths import tell
from transport import Identity
from transport.testing import Page
from transport.testing.asgi import lines, opening, request, whole

COPY = "copy-01234567890123"
"""The client of a copy of a page."""


async def test_token_is_good_if_the_secret_changes_in_an_open() -> None:
    async with processes() as each:
        await asyncio.sleep(20)
        each.store.stop()
        page = Page(each.cluster)
        opening = asyncio.create_task(page.resume())
        await asyncio.sleep(0.1)
        each.store.data.secret = b"another".ljust(32)
        each.store.restart()
        await opening
        page.cut()
        assert await page.resume()
        await tell(page, "a")
        await page.stop()


async def test_token_is_good_if_the_secret_is_lost_after_an_open() -> None:
    """The process that began the session is gone, and the others have another secret."""
    async with processes() as each:
        await asyncio.sleep(20)
        each.go_to(0)
        each.store.delay = 0.2
        page = Page(each.cluster)
        opening = asyncio.create_task(page.resume(within=60))
        await until(lambda: each.store.data.sessions)
        each.cluster.kill(0)
        each.store.data.secret = b"another".ljust(32)
        each.store.restart()
        each.go_anywhere()
        await opening
        page.cut()
        assert await page.resume()
        await tell(page, "a")
        await page.stop()


async def identify(_: object, credentials: object) -> Identity:
    return Identity(str(credentials))


async def first_of(app: ASGIApp, path: str, *frames: Any) -> dict[str, Any]:
    """Send a request, and return the first frame of its answer."""
    connection = request(app, path, lines(*frames))
    answer = await whole(connection, within=30.0)
    first: dict[str, Any] = json.loads(answer.body.split(b"\n")[0])
    return first


async def test_wrong_token_of_an_orphan_claims_nothing() -> None:
    """The public id alone starts no handler with another's user."""
    async with processes(authenticate=identify) as each:
        await asyncio.sleep(20)
        each.go_to(0)
        opened = await first_of(each.cluster, "/poll", opening(credentials="one"))
        each.cluster.kill(0)
        each.go_to(1)
        before = each.store.image(opened["id"])
        assert before is not None
        good = opened["session"]
        wrong = good[:-3] + ("AAA" if good[-3:] != "AAA" else "BBB")
        for changes in ({"session": wrong}, {"session": good, "credentials": "other"}):
            fields = {"nonce": "m" * 22, "credentials": "one", "epoch": opened["epoch"]}
            frame = opening(2, **{**fields, **changes})
            answer = await first_of(each.cluster, "/poll", frame)
            assert (answer["type"], answer["verdict"]) == ("opened", "reset")
            assert answer["id"] != opened["id"]
            await asyncio.sleep(5.0)
        assert each.store.image(opened["id"]) == before
        assert each.resumed == [False] * 3


async def test_copies_of_an_open_get_good_tokens() -> None:
    """OPN-4: before a kill, and after it. Whichever of the answers is read, its token opens."""
    async with processes(count=3, authenticate=identify) as each:
        await asyncio.sleep(20)
        frame = opening(credentials="one")
        answers = await asyncio.gather(*(first_of(each.cluster, "/poll", frame) for _ in range(10)))
        opened = [each for each in answers if each["type"] == "opened"]
        assert opened
        each.cluster.kill(each.home)
        await asyncio.sleep(2.0)
        for _ in range(10):
            answer = await first_of(each.cluster, "/poll", frame)
            if answer["type"] == "opened":
                opened.append(answer)
        assert {one["id"] for one in opened} == {opened[0]["id"]}
        assert {one["session"] for one in opened} == {opened[0]["session"]}
        frame = opening(2, session=opened[0]["session"], nonce="m" * 22, credentials="one")
        resumed = await first_of(each.cluster, "/poll", frame)
        assert (resumed["verdict"], resumed["id"]) == ("resumed", opened[0]["id"])


async def test_copy_of_a_page_keeps_its_session_over_a_kill() -> None:
    """A late POST of the page that it was copied from changes nothing at the next home."""
    async with processes(count=3, authenticate=identify) as each:
        await asyncio.sleep(20)
        each.go_to(0)
        opened = await first_of(each.cluster, "/poll", opening(credentials="one"))
        token = opened["session"]
        copy = opening(2, client=COPY, nonce="m" * 22, session=token, credentials="one")
        assert (await first_of(each.cluster, "/poll", copy))["verdict"] == "resumed"
        confirm = {"type": "send", "session": token, "attach": 2, "client": COPY}
        await first_of(each.cluster, "/send", confirm, {"type": "ack", "ack": 0})
        each.cluster.kill(0)
        each.go_to(1)
        late = {"type": "send", "session": token, "attach": 1, "client": "client-0123456789"}
        assert (await first_of(each.cluster, "/send", late, [1, 0, "late"]))[
            "code"
        ] == "not_attached"
        await asyncio.sleep(2.0)
        again = opening(3, client=COPY, nonce="o" * 22, session=token, credentials="one")
        assert (await first_of(each.cluster, "/poll", again))["verdict"] == "resumed"
        assert (await first_of(each.cluster, "/send", late, [1, 0, "late"]))["code"] == "superseded"
        image = each.store.image(opened["id"])
        assert image is not None
        assert (image.holder, image.confirmed, image.handled) == (COPY, 2, 0)
