"""`FaultProxy` breaks connections as documented, so that tests can rely on it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

from tests.support.faults.tcp_link import How
from tests.support.faults.tcp_proxy import FaultProxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Upstream:
    """A server that keeps its connections and the data read on each, and sends on demand."""

    def __init__(self) -> None:
        self.port = 0
        self.streams: list[Streams] = []
        self._arrived = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with self._arrived:
            self.streams.append((reader, writer))
            self._arrived.notify_all()

    async def connection(self, index: int = 0) -> Streams:
        with anyio.fail_after(5):
            async with self._arrived:
                await self._arrived.wait_for(lambda: len(self.streams) > index)
        return self.streams[index]


@asynccontextmanager
async def listening() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    try:
        yield upstream
    finally:
        server.close()
        for _, writer in upstream.streams:
            await close(writer)
        with anyio.fail_after(5):
            await server.wait_closed()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


@asynccontextmanager
async def connected(proxy: FaultProxy) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield reader, writer
    finally:
        await close(writer)


async def read(reader: asyncio.StreamReader, count: int) -> bytes:
    with anyio.fail_after(5):
        return await reader.readexactly(count)


async def ending(reader: asyncio.StreamReader) -> tuple[bytes, How]:
    """Return the data up to the end of the connection, and how it ended."""
    rest = b""
    with anyio.fail_after(5):
        while True:
            try:
                data = await reader.read(65536)
            except ConnectionResetError:
                return rest, "rst"
            if not data:
                return rest, "fin"
            rest += data


async def test_proxy_passes_bytes_both_ways() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (reader, writer),
    ):
        server_reader, server_writer = await upstream.connection()
        writer.write(b"question")
        assert await read(server_reader, 8) == b"question"
        server_writer.write(b"answer")
        assert await read(reader, 6) == b"answer"
        statistics = proxy.statistics
        assert (statistics.connections, statistics.bytes_up, statistics.bytes_down) == (1, 8, 6)


async def test_proxy_passes_much_to_slow_reader() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (_, writer),
    ):
        server_reader, _ = await upstream.connection()
        blob = bytes(range(256)) * 32_768
        async with anyio.create_task_group() as tasks:
            writer.write(blob)
            tasks.start_soon(writer.drain)
            assert await read(server_reader, len(blob)) == blob


async def test_proxy_passes_on_half_close() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (reader, writer),
    ):
        server_reader, server_writer = await upstream.connection()
        writer.write(b"all of it")
        writer.write_eof()
        assert await ending(server_reader) == (b"all of it", "fin")
        server_writer.write(b"still there")
        server_writer.close()
        assert await ending(reader) == (b"still there", "fin")
        await proxy.wait_for_links(0)


async def test_proxy_passes_on_reset() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (reader, _),
    ):
        _, server_writer = await upstream.connection()
        sock: socket.socket = server_writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server_writer.transport.abort()
        assert await ending(reader) == (b"", "rst")


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_cut_ends_both_sides(how: How) -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (reader, _),
    ):
        server_reader, _ = await upstream.connection()
        await proxy.wait_for_connections(1)
        assert proxy.cut(how) == 1
        assert await ending(reader) == (b"", how)
        assert await ending(server_reader) == (b"", how)
        await proxy.wait_for_links(0)
        assert proxy.cut(how) == 0
        assert (proxy.statistics.cuts, proxy.statistics.links_cut) == (1, 1)


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_cut_after_falls_within_downward_data(how: How) -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (reader, _),
    ):
        _, server_writer = await upstream.connection()
        proxy.cut_after(5, direction="down", how=how)
        server_writer.write(b"0123456789")
        assert await ending(reader) == (b"01234", how)
        assert proxy.statistics.bytes_down == 5


async def test_cut_after_counts_its_direction_and_one_at_a_time() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (reader, writer),
        connected(proxy) as (reader_b, writer_b),
    ):
        server_reader, server_writer = await upstream.connection()
        server_reader_b, _ = await upstream.connection(1)
        proxy.cut_after(3, direction="up", how="fin")
        proxy.cut_after(2, direction="up", how="fin")
        server_writer.write(b"does not count")
        assert await read(reader, 14) == b"does not count"
        writer.write(b"abcd")
        assert await ending(server_reader) == (b"abc", "fin")
        assert await ending(reader) == (b"", "fin")
        writer_b.write(b"efgh")
        assert await ending(server_reader_b) == (b"ef", "fin")
        assert await ending(reader_b) == (b"", "fin")
        assert proxy.statistics.cuts == 2


async def test_cut_after_can_cut_every_connection() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (reader_a, writer_a),
        connected(proxy) as (reader_b, _),
    ):
        await upstream.connection(1)
        await proxy.wait_for_connections(2)
        proxy.cut_after(1, how="rst", every=True)
        writer_a.write(b"x")
        assert await ending(reader_a) == (b"", "rst")
        assert await ending(reader_b) == (b"", "rst")
        assert (proxy.statistics.cuts, proxy.statistics.links_cut) == (1, 2)


async def test_stall_holds_one_direction_until_heal() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (reader, writer),
    ):
        server_reader, server_writer = await upstream.connection()
        await proxy.wait_for_connections(1)
        proxy.stall("down")
        server_writer.write(b"held")
        writer.write(b"passes")
        assert await read(server_reader, 6) == b"passes"
        assert proxy.statistics.bytes_down == 0
        proxy.heal()
        assert await read(reader, 4) == b"held"


async def test_cut_loses_stalled_data() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (_, writer),
    ):
        server_reader, _ = await upstream.connection()
        await proxy.wait_for_connections(1)
        proxy.stall()
        writer.write(b"lost")
        proxy.cut("rst")
        assert await ending(server_reader) == (b"", "rst")


async def test_silence_tells_neither_side() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (reader, writer),
    ):
        _, server_writer = await upstream.connection()
        await proxy.wait_for_connections(1)
        assert proxy.cut("silence") == 1
        proxy.heal()
        writer.write(b"never")
        server_writer.write(b"heard")
        await close(server_writer)
        async with connected(proxy) as (other, _):
            _, writer_b = await upstream.connection(1)
            writer_b.write(b"passes")
            assert await read(other, 6) == b"passes"
            assert not reader.at_eof()
        assert (proxy.statistics.bytes_up, proxy.statistics.bytes_down) == (0, 6)


async def test_silence_can_begin_within_downward_data() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (reader, _),
    ):
        _, server_writer = await upstream.connection()
        proxy.cut_after(5, direction="down", how="silence")
        server_writer.write(b"0123456789")
        assert await read(reader, 5) == b"01234"
        await proxy.wait_for_cuts(1)
        assert proxy.statistics.bytes_down == 5


async def test_stall_applies_to_later_connections() -> None:
    async with listening() as upstream, FaultProxy(upstream.port) as proxy:
        proxy.stall("up")
        async with connected(proxy) as (_, writer):
            server_reader, _ = await upstream.connection()
            writer.write(b"late")
            await proxy.wait_for_connections(1)
            assert proxy.statistics.bytes_up == 0
            proxy.heal()
            assert await read(server_reader, 4) == b"late"


async def test_refuse_resets_until_heal() -> None:
    async with listening() as upstream, FaultProxy(upstream.port) as proxy:
        proxy.refuse = True
        async with connected(proxy) as (reader, _):
            assert await ending(reader) == (b"", "rst")
        await proxy.wait_for_refusals(1)
        proxy.heal()
        async with connected(proxy):
            await upstream.connection()


async def test_proxy_resets_without_server() -> None:
    async with listening() as upstream:
        port = upstream.port
    async with FaultProxy(port) as proxy, connected(proxy) as (reader, _):
        assert await ending(reader) == (b"", "rst")
        assert proxy.statistics.unreachable == 1


async def test_wait_for_bytes_times_out() -> None:
    async with (
        listening() as upstream,
        FaultProxy(upstream.port) as proxy,
        connected(proxy) as (_, writer),
    ):
        with pytest.raises(TimeoutError):
            await proxy.wait_for_bytes(4, timeout=0.01)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: proxy.wait_for_bytes(4, direction="up"))
            writer.write(b"four")


async def test_same_seed_draws_same_faults() -> None:
    async def ends(seed: int) -> list[How]:
        found = []
        async with listening() as upstream, FaultProxy(upstream.port, seed=seed) as proxy:
            for index in range(12):
                async with connected(proxy) as (reader, _):
                    await upstream.connection(index)
                    await proxy.wait_for_connections(index + 1)
                    proxy.cut()
                    found.append((await ending(reader))[1])
        return found

    first = await ends(1)
    assert first == await ends(1)
    assert {*first} == {"fin", "rst"}
