"""Workers meet those of their own server, and only these; who else could enter is refused."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

DEADLINE = 60.0
OTHER_USER = 12_345
NEW_PROCESS_IDS = ["unshare", "--user", "--map-current-user", "--pid", "--fork", "--mount-proc"]
"""Runs a command as process 1 of a namespace of its own."""


class Crew:
    """The workers of one or more supervisors, and what they have said.

    Attributes:
        names: the names of the workers, by label.
        met: of each label, the names that its workers have met.
        refused: what the workers said that could not start, by label.
        paths: the directories of the workers, by label.
    """

    def __init__(self) -> None:
        self.names: defaultdict[str, set[str]] = defaultdict(set)
        self.met: defaultdict[str, set[str]] = defaultdict(set)
        self.refused: dict[str, str] = {}
        self.paths: defaultdict[str, set[str]] = defaultdict(set)
        self._changed = asyncio.Event()

    async def read(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            said = json.loads(line)
            label = said["label"]
            if "met" in said:
                self.met[label].add(said["met"])
            if "name" in said:
                self.names[label].add(said["name"])
                self.paths[label].add(said["path"])
            if "refused" in said:
                self.refused[label] = said["refused"]
            self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds, which depends on what the workers say."""
        async with asyncio.timeout(DEADLINE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def have_met(self, label: str, count: int) -> bool:
        """Return whether this many workers have started, and each has met another."""
        return len(self.names[label]) == count and self.met[label] >= self.names[label]


@asynccontextmanager
async def supervised(
    crew: Crew, *supervisors: list[dict[str, Any]], under: list[str] | None = None
) -> AsyncIterator[None]:
    """Run supervisors with these workers; in the end all has been read that they said."""
    command = [sys.executable, "-m", "tests.integration.workers.crew", json.dumps(supervisors)]
    process = await asyncio.create_subprocess_exec(
        *(under or []), *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    reading = asyncio.create_task(crew.read(process.stdout))
    try:
        yield
    finally:
        process.stdin.close()
        async with asyncio.timeout(DEADLINE):
            await reading
            assert await process.wait() == 0


async def can_have_new_process_ids() -> bool:
    probe = await asyncio.create_subprocess_exec(
        *NEW_PROCESS_IDS, "true", stderr=asyncio.subprocess.DEVNULL
    )
    return await probe.wait() == 0


def pair(label: str, hub: str = "app:chat", **options: Any) -> list[dict[str, Any]]:
    return [{"label": label, "hub": hub, **options}] * 2


async def test_workers_meet_only_those_of_their_own_hub(directory: Path) -> None:
    """Two hubs, two applications, two users, two supervisors, also with the same process id."""
    os.chmod(directory, 0o1777)  # as for temporary files
    os.mkdir(directory / "app")
    own = [*pair("chat"), *pair("news", "app:news"), *pair("app", cwd=str(directory / "app"))]
    if os.getuid() == 0:
        own += pair("user", uid=OTHER_USER)
    alike = NEW_PROCESS_IDS if await can_have_new_process_ids() else []
    crew = Crew()
    async with (
        supervised(crew, own, pair("supervisor")),
        supervised(crew, pair("first alike"), under=alike),
        supervised(crew, pair("second alike"), under=alike),
    ):
        labels = {*(one["label"] for one in own), "supervisor", "first alike", "second alike"}
        await crew.until(lambda: all(crew.have_met(label, 2) for label in labels))
    assert {label: crew.met[label] for label in labels} == {
        label: crew.names[label] for label in labels
    }
    assert len({path for label in labels for path in crew.paths[label]}) == len(labels)


async def test_workers_of_two_supervisors_meet_in_a_named_directory(directory: Path) -> None:
    crew = Crew()
    named = str(directory / "run")
    chat = {"label": "chat", "hub": "app:chat", "named": named}
    news = pair("news", "app:news", named=named)
    async with supervised(crew, [chat], [{**chat, "cwd": "/"}], news):
        await crew.until(lambda: crew.have_met("chat", 2) and crew.have_met("news", 2))
    assert (crew.met["chat"], crew.met["news"]) == (crew.names["chat"], crew.names["news"])


async def test_directory_that_others_could_enter_is_refused(directory: Path) -> None:
    """The error says what is wrong, and what to do."""
    private, open_to_all, link = (f"{directory}/{name}" for name in ("private", "open", "link"))
    os.mkdir(private, 0o700)
    os.mkdir(open_to_all, 0o755)
    os.symlink(private, link)
    foreign, user = "/usr", 0
    if os.getuid() == 0:
        foreign, user = f"{directory}/foreign", OTHER_USER
        os.mkdir(foreign, 0o700)
        os.chown(foreign, user, user)
    expected = {
        foreign: f"of user {user}:",
        open_to_all: "it is drwxr-xr-x",
        link: "it is lrwxrwxrwx",
    }
    workers = [{"label": path, "hub": "app:chat", "named": path} for path in expected]
    crew = Crew()
    async with supervised(crew, workers):
        await crew.until(lambda: len(crew.refused) == len(expected))
    for path, text in expected.items():
        error = crew.refused[path]
        assert f"{path} must be a directory of the user {os.getuid()} with mode 0700" in error
        assert text in error
        assert 'Correct or remove it, or name another one: Workers("/run/app")' in error
    assert os.listdir(private) == []


async def test_worker_whose_socket_was_removed_is_met_again(directory: Path) -> None:
    """As by a cleaner of temporary files; a worker that comes then finds the one that was there."""
    crew = Crew()
    one = {"label": "chat", "hub": "app:chat", "named": str(directory / "run")}
    async with supervised(crew, [one]):
        await crew.until(lambda: crew.names["chat"])
        [name], [path] = crew.names["chat"], crew.paths["chat"]
        socket = f"{name}.sock"
        os.unlink(f"{path}/{socket}")
        async with asyncio.timeout(DEADLINE):
            while socket not in os.listdir(path):  # noqa: ASYNC110 - no event announces it
                await asyncio.sleep(0.01)
        async with supervised(crew, [one]):
            await crew.until(lambda: crew.have_met("chat", 2))
