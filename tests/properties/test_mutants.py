"""Mutants: rules of the cores, broken one at a time. The tests must detect each.

A mutant is data (`tests/properties/mutants/`): a rule, and a change to the source of one method or
file. The vectors of the side that is broken must fail with it. So must the machine's random
schedules (`tests/properties/test_machine.py`), unless the mutant says why they cannot.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.properties.mutants.client import CLIENT
from tests.properties.mutants.mutant import Mutant, SourceMutant
from tests.properties.mutants.server import SERVER
from tests.properties.mutants.typescript import TYPESCRIPT
from tests.properties.schedules.bridge import CLIENT_JS, bundle, running_bridge
from tests.properties.schedules.client_core import ClientFactory
from tests.properties.schedules.profile import MACHINE, SHORT
from tests.properties.schedules.python_client import PythonClient
from tests.properties.schedules.schedule import play, schedule
from tests.properties.schedules.typescript_client import TypeScriptClient
from tests.unit.protocol import directory
from tests.unit.protocol.test_vectors import CLIENT_SESSIONS, SESSIONS
from tests.unit.protocol.test_vectors import test_client_session as run_client_vector
from tests.unit.protocol.test_vectors import test_session as run_vector
from transport.protocol.client import outbox
from transport.protocol.client import session as client
from transport.protocol.client.buffer import WaitingBuffer
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.send_buffer import SendBuffer
from transport.protocol.server import session

SCHEDULES = 300
"""How many schedules the machine has to detect a mutant: about two seconds' worth."""

USERS = {"server": (session,), "client": (client, outbox)}
"""The modules of each side that use a class of both sides."""
SHARED: dict[str, tuple[type, ...]] = {
    "server": (ReceiveWindow, SendBuffer),
    "client": (ReceiveWindow, WaitingBuffer),
}
"""The classes of both sides, as each side uses them. Only one side's is broken."""

VECTORS = "test/vectors.test"
BRIDGE = "test/bridge"


# The Python cores


def vectors(side: str) -> Iterator[Callable[[], None]]:
    run, of = (run_vector, SESSIONS) if side == "server" else (run_client_vector, CLIENT_SESSIONS)
    for one in of:
        yield partial(run, one.values[0])


def schedules(
    first: int, new_core: ClientFactory = PythonClient.new
) -> Iterator[Callable[[], None]]:
    for seed in range(first, first + SCHEDULES):
        for profile in (MACHINE, SHORT):
            yield partial(play, schedule(seed, profile), profile, new_core)


def has_failure(cases: Iterator[Callable[[], None]]) -> bool:
    """Run cases until one fails, in any way. Return whether one did."""
    for case in cases:
        try:
            case()
        except Exception:  # noqa: BLE001 - a test may fail in any way
            return True
    return False


def break_rule(mutant: Mutant, side: str, patch: pytest.MonkeyPatch) -> None:
    """Replace the method of a mutant; of a class that both sides use, only this side's."""
    where, method, broken = mutant.where, mutant.original, mutant.broken()
    for shared in SHARED[side]:
        if isinstance(where, type) and issubclass(shared, where):
            body = {"__slots__": (), mutant.method: broken}
            for user in USERS[side]:
                if hasattr(user, shared.__name__):
                    patch.setattr(user, shared.__name__, type(shared.__name__, (shared,), body))
            return
    patch.setattr(where, mutant.method, broken)
    if getattr(directory, mutant.method, None) is method:
        patch.setattr(directory, mutant.method, broken)


CASES = [
    pytest.param(mutant, side, id=f"{side}-{mutant.name}")
    for side, mutants in (("server", SERVER), ("client", CLIENT))
    for mutant in mutants
]


@pytest.mark.parametrize(("mutant", "side"), CASES)
def test_python_mutant_is_detected(mutant: Mutant, side: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        break_rule(mutant, side, patch)
        assert has_failure(vectors(side)), f"the vectors do not detect: {mutant.rule}"
        if not mutant.vectors_only:
            detected = has_failure(schedules(mutant.first_seed))
            assert detected, f"the machine does not detect: {mutant.rule}"


# The TypeScript core


@pytest.fixture(scope="module")
def bundles() -> Iterator[Path]:
    """Bundles of the vectors and of the bridge: with each mutant, and of the source as it is."""
    (CLIENT_JS / ".build").mkdir(exist_ok=True)
    folder = Path(mkdtemp(prefix="mutants-", dir=CLIENT_JS / ".build"))
    try:
        for mutant in [None, *TYPESCRIPT]:
            copy = folder / (mutant.name if mutant else "none")
            shutil.copytree(CLIENT_JS / "src", copy / "src")
            shutil.copytree(CLIENT_JS / "test", copy / "test", ignore=_other_tests)
            if mutant:
                path = copy / "src" / mutant.source
                source = path.read_text("utf-8")
                if source.count(mutant.old) == 1:  # otherwise its test fails
                    path.write_text(source.replace(mutant.old, mutant.new), "utf-8")
        entries = [*folder.glob(f"*/{VECTORS}.ts"), *folder.glob(f"*/{BRIDGE}.ts")]
        bundle(entries, folder, folder / "out")
        yield folder / "out"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _other_tests(_: str, names: list[str]) -> list[str]:
    return [
        name for name in names if name.endswith(".test.ts") and f"test/{name}" != f"{VECTORS}.ts"
    ]


def run_bundle(bundles: Path, name: str) -> tuple[int, str]:
    done = subprocess.run(
        ["node", "--test-reporter=tap", bundles / name / f"{VECTORS}.mjs"],
        cwd=CLIENT_JS,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("mutant", TYPESCRIPT, ids=lambda mutant: mutant.name)
def test_typescript_mutant_is_detected(mutant: SourceMutant, bundles: Path) -> None:
    source = (CLIENT_JS / "src" / mutant.source).read_text("utf-8")
    assert source.count(mutant.old) == 1, f"{mutant.name}: {mutant.old!r} is not in the source"
    status, output = run_bundle(bundles, mutant.name)
    assert status, f"the vectors do not detect: {mutant.rule}"
    # An assertion failed, and others passed: the core runs, and does something wrong.
    assert "ERR_ASSERTION" in output
    assert "\nok " in output or "    ok " in output
    if not mutant.vectors_only:
        with running_bridge(bundles / mutant.name / f"{BRIDGE}.mjs") as bridge:
            cases = schedules(mutant.first_seed, TypeScriptClient.factory(bridge))
            assert has_failure(cases), f"the machine does not detect: {mutant.rule}"


def test_cores_without_mutants_pass(bundles: Path) -> None:
    """Without this, a failure above would prove nothing."""
    assert not has_failure(vectors("server"))
    assert not has_failure(vectors("client"))
    assert run_bundle(bundles, "none")[0] == 0
