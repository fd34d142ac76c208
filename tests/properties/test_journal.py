"""The scripts decide as the journal's reference does, whatever happens.

The environment says how many random schedules are played: ``MACHINE_EXAMPLES``, from
``MACHINE_SEED`` on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.properties.journal.comparison import SESSIONS, Comparison, Disagreement
from tests.properties.mutants.scripts import SCRIPTS, ScriptMutant
from tests.support.clients.redis_commands import RedisCommands
from tests.support.servers.redis import RedisServer
from transport.protocol.journal import ClaimRefusal, End, Heal, Refusal, Release, Step
from transport.stores.journaled import GRACE
from transport.stores.redis.scripts import Scripts

EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "300"))
SCHEDULES = -(-EXAMPLES // SESSIONS)
"""Each is one of 64 sessions, which do not meet and so count as schedules of their own."""
SEED = int(os.environ.get("MACHINE_SEED", "0"))

ANSWERS = {
    *(f"stored {change.__name__}" for change in (Step, Heal, End, Release)),
    *("Claimed", "Made", "Found", "Ended", str(GRACE)),
    *map(str, (*Refusal, *ClaimRefusal)),
}
"""Everything that Redis can answer."""


@pytest.fixture
def commands(redis_server: RedisServer) -> Iterator[RedisCommands]:
    """Return a connection to an empty Redis."""
    with RedisCommands(redis_server.port) as commands:
        yield commands


@pytest.mark.timeout(0)
async def test_scripts_decide_as_the_reference(commands: RedisCommands) -> None:
    assert _play(commands, Scripts.read()) == ANSWERS


@pytest.mark.parametrize("mutant", SCRIPTS, ids=lambda mutant: mutant.name)
async def test_script_mutant_is_detected(commands: RedisCommands, mutant: ScriptMutant) -> None:
    with pytest.raises(Disagreement):
        _play(commands, mutant.broken())


def _play(commands: RedisCommands, scripts: Scripts) -> set[str]:
    """Play all schedules and return what Redis has answered."""
    commands.send(scripts.load)
    answers: set[str] = set()
    for seed in range(SEED, SEED + SCHEDULES):
        comparison = Comparison(commands, scripts, seed)
        comparison.play()
        answers |= comparison.answers.keys()
    return answers
