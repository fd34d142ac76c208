"""Workloads that compare sessions in Redis with those in memory."""

from __future__ import annotations

from benchmarks.workloads import CPU, STORE_CPU, Echo, FanOut


class StoredEcho(Echo):
    """An echo, of which the CPU of Redis is a figure.

    The processes of the server and Redis use both cores, as on a machine of two.
    """

    shares_cores = True

    def __init__(self, connections: int, depth: int, size: int, seconds: float) -> None:
        super().__init__(connections, depth, size, seconds)
        self.figures = (self.figures[0], CPU, STORE_CPU, *self.figures[2:])

    @property
    def title(self) -> str:
        return f"stored {super().title}"


class StoredFanOut(FanOut):
    """One message to many sessions; see `StoredEcho`."""

    shares_cores = True
    settle = 1.0

    def __init__(self, members: int, burst: int, seconds: float, pause: float) -> None:
        super().__init__(members, burst, seconds, pause)
        self.figures = (*self.figures, STORE_CPU)

    @property
    def title(self) -> str:
        return f"stored, {super().title}"
