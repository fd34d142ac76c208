"""Installs the built packages into empty environments, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio

from tests.support.servers.uvicorn import UVICORN, Host

ROOT = Path(__file__).parents[2]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
METADATA: dict[str, Any] = PYPROJECT["project"]
INSTALLS_WITHIN = 300.0
"""Seconds for an installation: a cold cache downloads everything."""
_RUNS_WITHIN = 90.0


async def run(
    *command: str | Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    within: float = _RUNS_WITHIN,
) -> str:
    """Run a program in ``folder``. Return its output.

    Raises:
        AssertionError: it failed, with its output.
        TimeoutError: it did not end in time, and was killed.
    """
    # Without what this project's own environment sets for Python and npm scripts.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST"))
    }
    with anyio.fail_after(within):
        done = await anyio.run_process(
            list(map(str, command)),
            cwd=folder,
            env={**inherited, "NO_COLOR": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            check=False,
        )
    output = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{output}"
    return output


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment in a folder of its own."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def host(self) -> Host:
        """Its uvicorn, for `serving`."""
        return replace(UVICORN, python=(str(self.python), "-P"))

    @classmethod
    async def create(cls, folder: Path, *packages: str | Path) -> Environment:
        """Create an environment with nothing but these packages and what they require."""
        await run(sys.executable, "-m", "venv", "--without-pip", folder, folder=ROOT)
        await run(
            *(sys.executable, "-m", "pip", "--python", folder, "install"),
            *("--quiet", "--disable-pip-version-check", "--no-compile", *packages),
            folder=folder,
            within=INSTALLS_WITHIN,
        )
        return cls(folder)

    async def run(self, *arguments: str | Path, **environment: str) -> str:
        """Run its Python in its folder. Only the folder of a script is added to the import path."""
        return await run(self.python, *arguments, folder=self.folder, environment=environment)

    async def versions(self) -> dict[str, str]:
        """Return the installed distributions, by name."""
        code = (
            "from importlib.metadata import distributions\n"
            "for one in distributions(): print(one.name.lower().replace('_', '-'), one.version)"
        )
        return dict(line.split() for line in (await self.run("-c", code)).splitlines())


def requirements(*extras: str) -> list[str]:
    """Return what the metadata requires, with these extras."""
    found: list[str] = list(METADATA["dependencies"])
    for extra in extras:
        found += METADATA["optional-dependencies"][extra]
    return found


def floors(*extras: str) -> list[str]:
    """Return the lowest versions that the metadata claims to work, as requirements."""
    return [requirement.replace(">=", "==") for requirement in requirements(*extras)]


@dataclass(frozen=True, slots=True)
class Archives:
    """What a release would upload."""

    sdist: Path
    wheel: Path


@dataclass(frozen=True, slots=True)
class Variant:
    """Which versions are installed, and what other packages bring along.

    Attributes:
        lowest: the lowest versions that the metadata claims to work; otherwise the newest.
        sniffio: whether sniffio is installed.
    """

    lowest: bool = False
    sniffio: bool = False

    def requirements(self, *extras: str) -> list[str]:
        """Return what is installed beside the wheel with these extras."""
        return (floors(*extras) if self.lowest else []) + (["sniffio"] if self.sniffio else [])
