"""The state of the machine: cores, CPU time, memory, and load by other processes."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """Return the cores of the server and of the generator: the same one if there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def raise_file_limit() -> None:
    """Let this process and its children open as many connections as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time of all threads of the processes, measured in nanoseconds."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_kib(pids: Iterable[int]) -> int:
    """Return the private memory of the processes, without the kernel's socket buffers."""
    kib = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                kib += int(line.split()[1])
    return kib


def _ticks() -> tuple[int, int]:
    """Return the busy and the stolen ticks of all cores."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _, _, irq, softirq, steal = fields[:8]
    return user + nice + system + irq + softirq, steal


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources used between two instants.

    Attributes:
        seconds: time between the two instants.
        server, store, generator: CPU seconds of the server's processes, of its Redis, and of this
            process.
        other: share of one core that other processes used.
        steal: share of one core that the host took.
    """

    seconds: float
    server: float
    store: float
    generator: float
    other: float
    steal: float

    @property
    def generator_share(self) -> float:
        """The generator's share of its core."""
        return self.generator / self.seconds

    @property
    def server_share(self) -> float:
        """The server's share of its core."""
        return self.server / self.seconds


class Meter:
    """A measurement of `Usage` that starts when it is created.

    Args:
        server: process ids of the server.
        store: process ids of its Redis.
    """

    def __init__(self, server: Sequence[int], store: Sequence[int] = ()) -> None:
        self._server = server
        self._store = store
        self._busy, self._steal = _ticks()
        self._server_cpu = cpu_seconds(server)
        self._store_cpu = cpu_seconds(store)
        self._own_cpu = time.process_time()
        self._began = time.perf_counter()

    def read(self) -> Usage:
        """Return the usage since this meter was created."""
        seconds = time.perf_counter() - self._began
        own = time.process_time() - self._own_cpu
        server = cpu_seconds(self._server) - self._server_cpu
        store = cpu_seconds(self._store) - self._store_cpu
        busy, steal = _ticks()
        other = max(0.0, (busy - self._busy) / TICK - own - server - store)
        stolen = (steal - self._steal) / TICK
        return Usage(seconds, server, store, own, other / seconds, stolen / seconds)


def describe() -> str:
    """Return a description of the machine in one line."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores of {model}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load average {load}"
    )
