"""What the machine does: cores, CPU time, memory, and who else uses it."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import time
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """The core of the server and the core of the generator; one and the same where there is one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def raise_file_limit() -> None:
    """Let this process and its children open as many connections as the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used, all threads, to the nanosecond."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_kib(pid: int) -> int:
    """Memory that no other process shares; sockets of the kernel are not in it."""
    kib = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            kib += int(line.split()[1])
    return kib


def _ticks() -> tuple[int, int]:
    """Busy and stolen ticks of all cores."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _, _, irq, softirq, steal = fields[:8]
    return user + nice + system + irq + softirq, steal


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used between two moments.

    Attributes:
        seconds: between them.
        server, generator: CPU seconds.
        other: share of one core that went to neither.
        steal: share of one core that the host took away.
    """

    seconds: float
    server: float
    generator: float
    other: float
    steal: float

    @property
    def generator_share(self) -> float:
        """Of its core."""
        return self.generator / self.seconds

    @property
    def server_share(self) -> float:
        """Of its core."""
        return self.server / self.seconds


class Meter:
    """Measures `Usage` from now on.

    Args:
        server: its process.
    """

    def __init__(self, server: int) -> None:
        self._server = server
        self._busy, self._steal = _ticks()
        self._server_cpu = cpu_seconds(server)
        self._own_cpu = time.process_time()
        self._began = time.perf_counter()

    def read(self) -> Usage:
        """What was used since it was made."""
        seconds = time.perf_counter() - self._began
        own = time.process_time() - self._own_cpu
        server = cpu_seconds(self._server) - self._server_cpu
        busy, steal = _ticks()
        other = (busy - self._busy) / TICK - own - server
        return Usage(
            seconds, server, own, max(0.0, other) / seconds, (steal - self._steal) / TICK / seconds
        )


def describe() -> str:
    """The machine, in a line."""
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
