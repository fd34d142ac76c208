"""ocpp, for charging stations: its ``ChargePoint`` takes a connection of ``websockets``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.integration.client.kit import PACING, until, until_report
from tests.integrations.frameworks.faults import MESSAGES, converse, each_transport
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server, serving
from transport.client.websocket import connect


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tests.integrations.frameworks.ocpp_app:app") as server:
        yield server


@each_transport
async def test_charging_station_outlives_faults(server: Server, transport: str) -> None:
    """Thirty calls of the station are answered, over two cuts and two transports."""
    from ocpp.v16 import ChargePoint, call  # only `make integrations` installs it

    answers: list[Any] = []
    async with (
        FaultProxy(server.port) as proxy,
        connect(
            f"ws://127.0.0.1:{proxy.port}/stations/{transport}",
            subprotocols=["ocpp1.6"],
            transports=[transport],
            pacing=PACING,
            proxy=None,
        ) as websocket,
        anyio.create_task_group() as tasks,
    ):
        assert websocket.subprotocol == "ocpp1.6"
        station = ChargePoint(transport, websocket)
        tasks.start_soon(station.start)

        async def notify(index: int) -> None:
            async def request() -> None:
                status = call.StatusNotification(
                    connector_id=index, error_code="NoError", status="Available"
                )
                answers.append(await station.call(status))

            tasks.start_soon(request)

        async def until_answered(count: int) -> None:
            await until(lambda: len(answers) >= count)

        await converse(websocket.channel, proxy, transport, notify, until_answered)
        tasks.cancel_scope.cancel()
    assert len(answers) == MESSAGES
    found = await until_report(server, lambda report: report[transport][-1] == {"left": 1000})
    assert sorted(found[transport][:-1]) == list(range(MESSAGES))
