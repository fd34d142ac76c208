"""Processes whose sessions are in a `StoreModel`, for tests of the rules of a store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.journaled_sessions import JournaledProcess
from transport.limits import Limits
from transport.testing.store_model import ModelStore, StoreModel

LIMITS = Limits()
GRACE_IS_OVER = 8.5


class Process(JournaledProcess):
    def __init__(self, store: ModelStore) -> None:
        super().__init__(store)
        self.model_store = store


@asynccontextmanager
async def running(model: StoreModel) -> AsyncIterator[Process]:
    process = Process(model.connect(LIMITS))
    await process.store.start(process)
    try:
        yield process
    finally:
        await process.store.stop()


def stored(model: StoreModel, session_id: str = "one") -> tuple[Any, ...]:
    image = model.image(session_id)
    assert image is not None
    return image.payloads


def in_grace(process: Process) -> bool:
    return process.store.in_grace


def state(process: Process) -> str:
    return process.store.statistics.state
