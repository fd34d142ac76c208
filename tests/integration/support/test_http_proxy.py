"""`RequestProxy` breaks requests as documented."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from tests.support.faults.http_proxy import Delay, Fault, Lose, Repeat, RequestProxy
from transport.waiting import Waiters


class Upstream(Waiters):
    """An HTTP server that answers each request with its own body, and records the requests.

    `asked` has the bodies, in order. Requests whose body begins with "wait" are answered once
    `answering` is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.port = 0
        self.asked: list[str] = []
        self.wires: list[bytes] = []
        self.answering = asyncio.Event()
        self.left = 0
        """The number of connections that ended before their answer."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def until_asked(self, *bodies: str) -> None:
        await self.until(lambda: self.asked == [*bodies])

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = next(
                line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            body = await reader.readexactly(int(size.partition(b":")[2]))
            self.wires.append(head + body)
            self.asked.append(body.decode())
            self.changed()
            if body.startswith(b"wait"):
                leaving, answering = (
                    asyncio.create_task(work) for work in (reader.read(), self.answering.wait())
                )
                await asyncio.wait((leaving, answering), return_when=asyncio.FIRST_COMPLETED)
                if leaving.done():
                    self.left += 1
                    self.changed()
                leaving.cancel()
                answering.cancel()
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
            await reader.read()
        except (OSError, EOFError):
            pass
        finally:
            writer.transport.abort()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def proxied(seed: int = 0) -> AsyncIterator[tuple[Upstream, RequestProxy, httpx.AsyncClient]]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.take, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(upstream.end)
        stack.callback(server.close)
        proxy = await stack.enter_async_context(RequestProxy(upstream.port, seed=seed))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{proxy.port}", trust_env=False)
        )
        yield upstream, proxy, client


async def ask(client: httpx.AsyncClient, body: str, path: str = "/send") -> str:
    with anyio.fail_after(5):
        answer = await client.post(path, content=body)
        return answer.text


async def fails(client: httpx.AsyncClient, body: str, path: str = "/send") -> None:
    with pytest.raises(httpx.TransportError):
        await ask(client, body, path)


async def test_request_proxy_passes_requests_on_one_connection() -> None:
    async with proxied() as (upstream, proxy, client):
        large = "x" * 1_000_000
        for body in ("one", "", large):
            assert await ask(client, body) == body
        assert upstream.asked == ["one", "", large]
        assert (len(proxy.requests), proxy.faults, proxy.copies) == (3, {}, [])
        assert b"user-agent: python-httpx" in upstream.wires[0].lower()


async def test_request_proxy_passes_stream_as_written() -> None:
    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nfirst\n")
        await went_on.wait()
        writer.write(b"second\n")
        writer.close()

    went_on = asyncio.Event()
    async with (
        await asyncio.start_server(stream, "127.0.0.1", 0) as server,
        RequestProxy(server.sockets[0].getsockname()[1]) as proxy,
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("GET", f"http://127.0.0.1:{proxy.port}/sse") as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines) == "first"
        went_on.set()
        assert [line async for line in lines] == ["second"]


async def test_request_proxy_passes_websocket() -> None:
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with (
        serve(echo, "127.0.0.1", 0) as server,
        RequestProxy(next(iter(server.sockets)).getsockname()[1]) as proxy,
        connect(f"ws://127.0.0.1:{proxy.port}/websocket", proxy=None) as socket,
    ):
        for message in ("text", b"bytes", "x" * 500_000):
            await socket.send(message)
            assert await socket.recv() == message


async def test_request_proxy_passes_on_end_of_client() -> None:
    async with proxied() as (upstream, _, client):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, client, "wait")
            await upstream.until_asked("wait")
            tasks.cancel_scope.cancel()
        await upstream.until(lambda: upstream.left == 1)


@pytest.mark.parametrize("seed", range(4))
async def test_lose_drops_answer(seed: int) -> None:
    async with proxied(seed) as (upstream, proxy, client):
        proxy.plan("send", Lose())
        await fails(client, "lost")
        assert await ask(client, "next") == "next"
        assert upstream.asked == ["lost", "next"]
        assert proxy.faults == {Lose: 1}


@pytest.mark.parametrize("seed", range(4))
async def test_lose_after_headers_drops_body(seed: int) -> None:
    async with proxied(seed) as (upstream, proxy, client):
        proxy.plan("send", Lose(headers=True))
        async with client.stream("POST", "/send", content="lost") as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.TransportError):
                await answer.aread()
        assert upstream.asked == ["lost"]


async def test_repeat_sends_request_twice() -> None:
    async with proxied() as (upstream, proxy, client):
        proxy.plan("send", Repeat())
        assert await ask(client, "twice") == "twice"
        await proxy.settled()
        assert upstream.asked == ["twice", "twice"]
        assert upstream.wires[0] == upstream.wires[1]
        [copy] = proxy.copies
        assert (copy.status, bytes(copy.body)) == (200, b"twice")


async def test_repeat_later_sends_copy_after_later_requests() -> None:
    async with proxied() as (upstream, proxy, client):
        proxy.plan("send", Repeat(later=2))
        for body in ("a", "b", "c"):
            assert await ask(client, body) == body
        await proxy.settled()
        assert upstream.asked == ["a", "b", "c", "a"]


async def test_delay_sends_request_after_later_ones() -> None:
    async with proxied() as (upstream, proxy, client), anyio.create_task_group() as tasks:
        proxy.plan("send", Delay(later=2))
        tasks.start_soon(ask, client, "late")
        await proxy.until(lambda: len(proxy.requests) == 1)
        assert await ask(client, "b") == "b"
        assert await ask(client, "c") == "c"
        await upstream.until_asked("b", "c", "late")


async def test_delay_counts_only_later_requests() -> None:
    async with proxied() as (upstream, proxy, client), anyio.create_task_group() as tasks:
        tasks.start_soon(ask, client, "wait")
        await upstream.until_asked("wait")
        proxy.plan("send", Repeat(later=1))
        assert await ask(client, "twice") == "twice"
        upstream.answering.set()
        await ask(client, "other")
        await proxy.settled()
        assert upstream.asked == ["wait", "twice", "other", "twice"]


async def test_delay_with_cut_still_sends_request() -> None:
    async with proxied() as (upstream, proxy, client):
        proxy.plan("send", Delay(later=1, cut=True))
        await fails(client, "late")
        assert upstream.asked == []
        assert await ask(client, "again") == "again"
        await proxy.settled()
        assert upstream.asked == ["again", "late"]


async def test_delay_still_sends_request_of_client_that_left() -> None:
    async with proxied() as (upstream, proxy, client):
        proxy.plan("send", Delay())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, client, "late")
            await proxy.until(lambda: len(proxy.requests) == 1)
            tasks.cancel_scope.cancel()
        await proxy.until(lambda: len(proxy.copies) == 1)
        assert upstream.asked == []
        proxy.release()
        await proxy.settled()
        assert upstream.asked == ["late"]


async def test_heal_clears_faults() -> None:
    async with proxied() as (upstream, proxy, client):
        proxy.plan("send", Repeat(later=5))
        proxy.plan("send", Lose())
        await ask(client, "twice")
        proxy.heal()
        await proxy.settled()
        await ask(client, "unharmed")
        assert upstream.asked == ["twice", "twice", "unharmed"]


@pytest.mark.parametrize("which", ["poll", lambda request: request.body == b"this"])
async def test_plan_applies_to_next_matching_request(which: str | Callable[..., bool]) -> None:
    async with proxied() as (upstream, proxy, client):
        proxy.plan(which, Lose())
        await ask(client, "other")
        await fails(client, "this", "/chat/poll?a=b/send")
        await ask(client, "this", "/chat/poll")
        assert upstream.asked == ["other", "this", "this"]


async def test_same_seed_draws_same_faults() -> None:
    async def drawn(seed: int) -> list[str]:
        found = []
        async with proxied(seed) as (upstream, proxy, client):
            kinds: list[Fault] = [Lose(), Repeat()]
            proxy.disturb(0.5, ["send"], kinds)
            for index in range(30):
                before = proxy.faults.copy()
                with suppress(httpx.TransportError):
                    await ask(client, str(index))
                found.append(" ".join(kind.__name__ for kind in proxy.faults - before))
                await ask(client, "spared", "/poll")
            await proxy.settled()
            assert proxy.faults.total() == len([one for one in found if one])
            assert upstream.asked.count("spared") == 30
        return found

    first = await drawn(1)
    assert first == await drawn(1)
    assert {*first} == {"", "Lose", "Repeat"}


async def test_absent_server_ends_connection() -> None:
    async with proxied() as (_, proxy, client):
        proxy.upstream_port = 1
        await fails(client, "nobody")
