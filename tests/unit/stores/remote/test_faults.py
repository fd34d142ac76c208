"""Random faults of the server and of connections, one after the other and at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from random import Random

import pytest

from tests.support.journaled_sessions import JournaledSession
from tests.support.modelled_processes import GRACE_IS_OVER, Process, running, stored
from transport.errors import StoreUnavailable
from transport.protocol.journal import Image
from transport.stores.journaled import Made
from transport.testing.store_data import Data
from transport.testing.store_model import StoreModel

QUIET = 40.0
"""Seconds after which all faults are over for everybody."""


async def disturb(
    model: StoreModel, processes: list[Process], random: Random, *, loses: bool
) -> None:
    """Let something go wrong, and end it again."""
    old = model.data.copy()
    kind = random.choice(["pause", "hold", "cut", "delay", "refuse", "stop"] + 2 * ["lose"] * loses)
    match kind:
        case "pause":
            model.pause()
            await asyncio.sleep(random.choice([0.5, 2, 4, 8]))
            model.resume()
        case "hold":
            model.hold_writes(*(random.uniform(0, 10) for _ in range(random.randint(1, 4))))
        case "cut":
            model.cut(random.choice(processes).store.name)
        case "delay":
            model.delay = random.choice([0.0, 0.1, 0.5])
        case "refuse":
            model.refusal = "OOM"
            await asyncio.sleep(random.uniform(0, 3))
            model.refusal = ""
        case "stop":
            model.stop()
            await asyncio.sleep(random.uniform(0, 20))
            model.restart(random.choice([None, Data(), old]) if loses else None)
        case _:
            await asyncio.sleep(random.uniform(0, 3))
            if random.random() < 0.5:
                model.forget_all()
            else:
                model.restart(old)
    await asyncio.sleep(random.choice([0, 0.1, 1, 5]))


async def open_somehow(process: Process, session_id: str) -> JournaledSession:
    while True:
        try:
            answer = await process.store.open(session_id, session_id, process.new_image())
        except StoreUnavailable:
            await asyncio.sleep(1)
            continue
        if isinstance(answer, Made):
            return process.hold(session_id, answer.image)
        # The answer was lost, and what was asked was not.
        image = model_image(process, session_id)
        return process.hold(session_id, image)


def model_image(process: Process, session_id: str) -> Image:
    image = process.model_store.model.image(session_id)
    assert image is not None
    return image


@pytest.mark.parametrize("seed", range(4))
async def test_living_homes_lose_nothing(seed: int) -> None:
    random, model = Random(seed), StoreModel()
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(running(model)) for _ in range(2)]
        sessions = [
            await open_somehow(process, f"{process.store.name}-{number}")
            for process in processes
            for number in range(3)
        ]
        for _ in range(8):
            disturbing = asyncio.create_task(disturb(model, processes, random, loses=True))
            while not disturbing.done():
                session = random.choice(sessions)
                session.send(f"{len(session.image.payloads)} of {session.id}")
                await asyncio.sleep(random.choice([0, 0.01, 0.3]))
            await disturbing
        model.delay = 0.0
        await asyncio.sleep(QUIET)
        for session in sessions:
            expected = tuple(f"{number} of {session.id}" for number in range(session.image.last))
            assert stored(model, session.id) == expected
            assert session.stored == session.image.last
            assert not session.is_lost


@pytest.mark.parametrize("seed", range(4))
async def test_claimed_session_keeps_what_was_stored(seed: int) -> None:
    """Whoever is its home: what the store said that it has is there, once and in order."""
    random, model = Random(seed), StoreModel()
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(running(model)) for _ in range(3)]
        homes = [await open_somehow(processes[0], "one")]
        await asyncio.sleep(GRACE_IS_OVER)
        for _ in range(8):
            disturbing = asyncio.create_task(disturb(model, processes, random, loses=False))
            while not disturbing.done():
                home = random.choice(homes[-2:])  # one that was fenced may not know it
                home.send(f"{home.image.last} by {len(homes)}")
                await asyncio.sleep(random.choice([0, 0.01, 0.3]))
            await disturbing
            process = random.choice(processes)
            try:
                located = await process.store.locate("one")
                assert located is not None
                claimed = await process.store.claim("one", located.home, located.fence)
            except StoreUnavailable:
                continue
            if isinstance(claimed, Image):
                homes.append(process.hold("one", claimed))
        model.delay = 0.0
        await asyncio.sleep(QUIET)
        log = stored(model)
        for home in homes:
            assert log[: home.stored] == home.image.payloads[: home.stored]
