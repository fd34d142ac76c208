"""pycrdt-websocket: two pages edit a document while their connections are cut, and converge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.integration.client.kit import until, until_report
from tests.integrations.frameworks.faults import (
    DEADLINE,
    MESSAGES,
    converse,
    each_transport,
    options,
)
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server, serving
from transport import ChannelClosed, connect
from transport.client import Channel


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tests.integrations.frameworks.documents_app:app") as server:
        yield server


class Socket:
    """A channel as a `Provider` expects a WebSocket."""

    path = "document"

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def __aiter__(self) -> Socket:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.recv()
        except ChannelClosed:
            raise StopAsyncIteration from None

    async def recv(self) -> bytes:
        message = await self._channel.receive()
        assert isinstance(message, bytes)
        return message

    async def send(self, message: bytes) -> None:
        await self._channel.send(message)


@each_transport
async def test_documents_converge_over_faults(server: Server, transport: str) -> None:
    from pycrdt import Array, Doc, Provider  # only `make integrations` installs it

    docs: list[Any] = [Doc(), Doc()]
    lists: list[Any] = [doc.get("list", type=Array) for doc in docs]
    everything = {f"{writer}-{index}" for writer in (0, 1) for index in range(MESSAGES)}
    left = len((await until_report(server, lambda _: True))["left"])
    async with FaultProxy(server.port) as first, FaultProxy(server.port) as second:
        url = "http://127.0.0.1:{}/documents/" + transport
        async with (
            connect(url.format(first.port), **options(transport)) as one,
            connect(url.format(second.port), **options(transport)) as other,
            Provider(docs[0], Socket(one)) as here,
            Provider(docs[1], Socket(other)) as elsewhere,
        ):
            with anyio.fail_after(DEADLINE):
                await here.synced.wait()
                await elsewhere.synced.wait()

            async def edit(writer: int, channel: Channel, proxy: FaultProxy) -> None:
                async def write(index: int) -> None:
                    lists[writer].append(f"{writer}-{index}")

                async def until_elsewhere(count: int) -> None:
                    there = lists[1 - writer]
                    await until(
                        lambda: sum(text.startswith(f"{writer}-") for text in there) >= count
                    )

                await converse(channel, proxy, transport, write, until_elsewhere)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(edit, 0, one, first)
                tasks.start_soon(edit, 1, other, second)
            await until(lambda: list(lists[0]) == list(lists[1]))
            assert len(lists[0]) == len(everything)
            assert set(lists[0]) == everything
    found = await until_report(server, lambda report: len(report["left"]) == left + 2)
    assert found["left"][left:] == [1000, 1000]
    assert found["clients"][f"/documents/{transport}"] == 0
