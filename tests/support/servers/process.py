"""A third-party program such as a proxy: start it, wait for it, signal it, stop it.

async with running("nginx", command, folder, [port]) as program:
    program.signal(signal.SIGHUP)
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio

from tests.support.servers.uvicorn import free_port

STARTS_WITHIN = 60.0
_STOPS_WITHIN = 30.0


class Process:
    """A process and its child processes.

    Attributes:
        folder: its working folder. Its output is in the file `log` there.
    """

    def __init__(
        self,
        name: str,
        command: Iterable[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.folder = folder
        self._environment = {**os.environ, **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, ports: Iterable[int]) -> None:
        """Start the program, and return once it listens on these ports of loopback.

        Raises:
            RuntimeError: it did not listen in time. The message has its log.
        """
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                cwd=self.folder,
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                # Its own process group, so that its workers end with it in any case.
                process_group=0,
            )
        await self.until_it_listens(ports)

    async def until_it_listens(self, ports: Iterable[int]) -> None:
        """Wait until it accepts connections on all ports. Raises the same errors as `start`."""
        with anyio.move_on_after(STARTS_WITHIN):
            for port in ports:
                while not (self.has_ended or await _listens(port)):  # noqa: ASYNC110 - no event announces it
                    await anyio.sleep(0.01)
            if not self.has_ended:
                return
        raise RuntimeError(f"{self.name} does not listen:\n{await self.log()}")

    async def log(self) -> str:
        """Return its output."""
        return await (anyio.Path(self.folder) / "log").read_text("utf-8", errors="replace")

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.returncode is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the main process, not to its workers."""
        assert self._process is not None
        self._process.send_signal(number)

    async def stop(self) -> None:
        """Stop it and its child processes with SIGTERM, or with SIGKILL after a deadline."""
        process = self._process
        if process is None:
            return
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.terminate()
                with anyio.move_on_after(_STOPS_WITHIN):
                    await process.wait()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def kill(self) -> None:
        """Kill it and its child processes, and return once it has ended."""
        process = self._process
        if process is None:
            return
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _listens(port: int) -> bool:
    try:
        await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


@asynccontextmanager
async def running(
    name: str,
    command: Iterable[str],
    folder: Path,
    ports: Iterable[int],
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Process]:
    """Run a program in ``folder`` while the block runs; on entry it listens on ``ports``.

    An error in the block tells whether the program has ended, and its output.
    """
    program = Process(name, command, folder, environment)
    try:
        await program.start(ports)
        yield program
    except Exception as error:
        if program.has_ended:
            error.add_note(f"{name} has ended:\n{await program.log()}")
        raise
    finally:
        await program.stop()


def free_ports(count: int) -> list[int]:
    """Return ``count`` different free ports."""
    ports: list[int] = []
    while len(ports) < count:
        port = free_port()
        if port not in ports:
            ports.append(port)
    return ports


async def make_certificate(folder: Path) -> None:
    """Make a self-signed certificate for loopback: `certificate.pem` and `key.pem`."""
    done = await anyio.run_process(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")),
        ],
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
