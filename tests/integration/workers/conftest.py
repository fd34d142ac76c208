"""Servers whose workers share the sessions of a hub.

`make test` has short forms, with uvicorn; ``WORKERS=full`` has the full ones, also with the other
servers that start another worker for one that has died, and `test_replaced`.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.support.servers.uvicorn import Server
from tests.support.servers.workers import workers

APP = "tests.integration.workers.app:app"
COUNT = 3
IS_FULL = os.environ.get("WORKERS") == "full"
collect_ignore = [] if IS_FULL else ["test_replaced.py"]  # it takes long
HOSTS = ["uvicorn"]
if IS_FULL:
    HOSTS += ["gunicorn", "gunicorn --preload", "granian --respawn-failed-workers"]

REPLACING = [name for name in HOSTS if "granian" not in name]
"""Servers that replace one worker after the other on SIGHUP, start one more on SIGTTIN, and give no
new connections to a worker that stands still."""

_is_event = re.compile(r"[a-z]+_[a-z_]+(:| \w+=)").match
_EXPECTED = ("host_limits", "handler_cancelled", "left_out", "one_address", "overflow")
"""Events that servers with these options, and tests that stop workers, cause."""
_KILLED = ("was sent SIGKILL", "Unexpected exit from worker")
"""What a server reports as an error when a worker is killed."""


@contextmanager
def temporary() -> Iterator[Path]:
    """Make a directory for the temporary files of servers, with a short path."""
    path = Path(tempfile.mkdtemp(prefix="oc-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(path))
        yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def directory() -> Iterator[Path]:
    """The directory for temporary files of the servers that one test runs."""
    with temporary() as path:
        yield path


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """The directory for temporary files of `server`."""
    with temporary() as path:
        yield path


@pytest.fixture(scope="module", params=HOSTS)
async def server(request: pytest.FixtureRequest, place: Path) -> AsyncIterator[Server]:
    """Run several workers for the tests of a file.

    In the end they leave nothing behind, and have nothing to report.
    """
    host, arguments = workers(request.param, COUNT)
    async with checked(Server(APP, tuple(arguments), host=host), place) as one:
        yield one


@asynccontextmanager
async def checked(server: Server, directory: Path | None) -> AsyncIterator[Server]:
    """Run a server. In the end it has logged nothing bad, and nothing is left in ``directory``."""
    await server.start()
    try:
        yield server
        await server.stop()
    finally:
        await server.kill()
        print("\n".join(["-- the server's log", *server.log]))  # noqa: T201 - shown by pytest
    server.log[:] = [line for line in server.log if not any(text in line for text in _KILLED)]
    server.assert_clean()
    if directory is not None:
        assert_nothing_is_left(directory)
    assert [line for line in server.log if _is_event(line) and not line.startswith(_EXPECTED)] == []


def assert_nothing_is_left(directory: Path) -> None:
    """Fail if a worker that has stopped has left its socket, or a lock.

    How its sessions have ended it leaves for clients that come back later.
    """
    left = [path.relative_to(directory) for path in directory.rglob("*") if path.is_file()]
    left = [path for path in left if path.suffix != ".ended"]
    assert {path.name for path in left} <= {"parent", "secret"}, left
    assert list(directory.rglob("*.sock")) == []
