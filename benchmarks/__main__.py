"""Run the benchmarks: see ``python -m benchmarks --help`` and docs/performance.md."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks import machine, report
from benchmarks.peers import (
    BARE,
    OURS,
    PEERS,
    POLL,
    RELAYED,
    STORED,
    STORED_RELAYED,
    STORED_SPREAD,
    STREAM,
    TRANSPORTS,
    WEBSOCKET,
    Peer,
    Server,
)
from benchmarks.targets import DEEP, verdicts
from benchmarks.workloads import (
    LARGE,
    SMALL,
    Echo,
    FanOut,
    Growth,
    Idle,
    Opening,
    RelayedEcho,
    Resume,
    StoredEcho,
    StoredFanOut,
    Workload,
)

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Case:
    """A workload over one transport, with the peers to run it on."""

    workload: Workload
    transport: str
    peers: tuple[Peer, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of the command line."""

    only: frozenset[str]
    transports: tuple[str, ...]
    peers: tuple[Peer, ...]
    quick: bool
    repeats: int
    seconds: float
    match: str


GROUPS = ("echo", "fanout", "push", "idle", "open", "resume", "growth", "relay", "redis")

SERIES = ("growth",)
"""Groups whose cases are compared with each other: they are run in turns."""


def cases(group: str, options: Options) -> list[Case]:
    """Return the cases of a group that the options select."""
    return [case for case in _all_cases(group, options) if options.match in case.workload.title]


def _all_cases(group: str, options: Options) -> Iterator[Case]:
    quick, seconds = options.quick, options.seconds
    both = tuple(peer for peer in (BARE, OURS) if peer in options.peers)
    match group:
        case "echo":
            for connections, depth in ((1, 1), (64, 1), (1, 16), (64, 16)):
                if quick and (connections, depth) == (1, 16):
                    continue
                for size in (SMALL,) if quick else (SMALL, LARGE):
                    echo = Echo(connections, depth, size, seconds)
                    for transport in options.transports:
                        yield Case(echo, transport, options.peers)
        case "fanout":
            if WEBSOCKET in options.transports:
                for burst in (1, 10):
                    fan = FanOut(1000, burst, seconds, pause=0.05)
                    yield Case(fan, WEBSOCKET, options.peers)
        case "push":
            for transport in options.transports:
                if transport != WEBSOCKET:
                    push = FanOut(200, 10, seconds, pause=0)
                    yield Case(push, transport, options.peers)
        case "idle":
            for transport in options.transports:
                yield Case(Idle(500, 0.4) if quick else Idle(2000, 1.0), transport, options.peers)
        case "open":
            for transport in options.transports:
                yield Case(Opening(200 if quick else 500), transport, options.peers)
        case "resume":
            for transport in options.transports:
                peers = both if transport == WEBSOCKET else both[-1:]
                yield Case(Resume(2 if quick else 3), transport, peers)
        case "growth":
            if WEBSOCKET in options.transports:
                for sessions in (100, 2000) if quick else (100, 1000, 5000):
                    yield Case(Growth(sessions, seconds), WEBSOCKET, both)
        case "relay":
            for connections, depth in ((1, 1), (64, 16)):
                relayed = RelayedEcho(connections, depth, SMALL, seconds)
                for transport in options.transports:
                    yield Case(relayed, transport, (OURS, RELAYED))
        case "redis":
            if WEBSOCKET in options.transports:
                for connections, depth in ((1, 1), (64, 16)):
                    stored = StoredEcho(connections, depth, SMALL, seconds)
                    yield Case(stored, WEBSOCKET, (OURS, STORED, STORED_RELAYED))
                lobby = StoredFanOut(1000, 1, seconds, pause=0.05)
                yield Case(lobby, WEBSOCKET, (OURS, STORED, STORED_SPREAD))
        case _:
            raise ValueError(group)


class Run:
    """One run of everything that the options select."""

    def __init__(self, options: Options, profile: str | None = None) -> None:
        self.options = options
        self.profile = profile
        self.server_core, self.generator_core = machine.cores()
        head = [
            time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()) + ", " + machine.describe(),
            f"server on core {self.server_core}, generator on core {self.generator_core}",
            f"medians of {options.repeats} interleaved repeats",
        ]
        self.results = report.Results(head)
        self.servers: dict[tuple[Peer, str], Server] = {}
        self.warm: set[tuple[Server, str, type[Workload]]] = set()
        self.failed: set[tuple[str, str, Peer]] = set()
        if self.server_core == self.generator_core:
            self.note("server and generator share ONE CORE: these figures mean nothing")

    def note(self, text: str) -> None:
        """Print a note, and keep it for the report."""
        if text not in self.results.notes:
            print(f"note: {text}", flush=True)
            self.results.notes.append(text)

    async def group(self, name: str) -> None:
        """Run the cases of a group one after the other, or in turns if they form a series."""
        every = cases(name, self.options)
        try:
            for together in [every] if name in SERIES else [[case] for case in every]:
                await self.repeated(together)
        finally:
            for server in self.servers.values():
                await server.stop()
            self.servers = {}

    def can(self, peer: Peer, transport: str) -> bool:
        """Return whether a peer has the transport and is installed."""
        if transport not in peer.clients:
            return False
        if peer.missing is not None:
            self.note(f"without {peer.name}: {peer.missing}")
            return False
        return True

    async def repeated(self, together: list[Case]) -> None:
        """Run the cases in turns, and each case on its peers in turns."""
        pairs = [
            (case, peer)
            for case in together
            for peer in case.peers
            if self.can(peer, case.transport)
        ]
        if not pairs:
            return
        for turn in range(1 if together[0].workload.fresh else self.options.repeats):
            for case, peer in pairs[turn % len(pairs) :] + pairs[: turn % len(pairs)]:
                if (case.workload.title, case.transport, peer) not in self.failed:
                    await self.once(case, peer)
        for case in together:
            await case.workload.end()
        shown = None
        for case, peer in pairs:
            workload, transport = case.workload, case.transport
            result = self.results.find(workload.title, transport, peer)
            if result is not None:
                if case is not shown:
                    print(f"\n{workload.title}: {transport}")
                    shown = case
                bare = self.results.find(workload.title, transport, BARE)
                print(report.line(result, bare), flush=True)

    async def once(self, case: Case, peer: Peer) -> None:
        """Take one sample."""
        workload, transport = case.workload, case.transport
        gc.collect()
        server = await self.server(workload, peer)
        try:
            if (server, transport, type(workload)) not in self.warm:
                await workload.warm_up(server, transport)
                self.warm.add((server, transport, type(workload)))
            sample = await workload.run(server, transport)
        except Exception:  # noqa: BLE001 - report a peer that fails, and go on
            traceback.print_exc()
            print(server.log[-2000:])
            self.note(f"{peer.name} FAILED: {workload.title}, {transport}")
            self.failed.add((workload.title, transport, peer))
        else:
            self.results.of(workload, transport, peer).samples.append(sample)
        if workload.fresh:
            await self.servers.pop((peer, workload.server)).stop()

    async def server(self, workload: Workload, peer: Peer) -> Server:
        """Return the peer's server for a workload; start it if it is not running."""
        key = (peer, workload.server)
        if key not in self.servers:
            server = Server(peer, workload.role, self.cores(workload))
            await server.start()
            self.servers[key] = server
        return self.servers[key]

    def cores(self, workload: Workload) -> set[int]:
        """Return the cores of a workload's server."""
        both = {self.server_core, self.generator_core}
        return both if workload.shares_cores else {self.server_core}


async def profile(run: Run, kind: str) -> None:
    """Run the first case on one peer, and print where its processes spent their time."""
    options = run.options
    group = next(name for name in GROUPS if name in options.only)
    peer = OURS if OURS in options.peers else options.peers[0]
    peer = {"relay": RELAYED, "redis": STORED_RELAYED}.get(group, peer)
    every = [case for case in cases(group, options) if peer in case.peers]
    case = next((case for case in every if case.workload.title.endswith(DEEP)), every[0])
    print(f"{case.workload.title}: {case.transport}, {peer.name}")
    server = Server(peer, case.workload.role, run.cores(case.workload), kind)
    await server.start()
    try:
        await profiled(case, server, options.repeats)
    finally:
        print(await server.stop())


async def profiled(case: Case, server: Server, repeats: int) -> None:
    """Run the case once to warm up, then under the profiler."""
    await case.workload.run(server, case.transport)
    server.toggle_profile()
    for _ in range(repeats):
        sample = await case.workload.run(server, case.transport)
        print("  ".join(f"{value:,.2f} {name}" for name, value in sample.figures.items()))
    server.toggle_profile()
    await case.workload.end()


def parse() -> tuple[Options, argparse.Namespace]:
    """Parse the command line."""
    names = {"websocket": WEBSOCKET, "sse": STREAM, "longpoll": POLL}
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the channel against its peers."
    )
    parser.add_argument("--only", default="", help=f"any of {','.join(GROUPS)}")
    parser.add_argument("--transport", default="", help=f"any of {','.join(names)}")
    parser.add_argument(
        "--peers",
        default="",
        help="parts of names, such as bare,onechannel (these two always run, but for --profile)",
    )
    parser.add_argument("--match", default="", help='part of a title, such as "depth 1, 64 B"')
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--repeats", type=int, help="of each measurement (5; with --quick 3)")
    parser.add_argument(
        "--seconds",
        type=float,
        help="seconds of each echo (0.5; with --quick 0.3, with --profile 2)",
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory for the results")
    parser.add_argument(
        "--profile",
        choices=("cpu", "calls"),
        help="run one workload on one peer: by default 64 sessions, depth 16",
    )
    arguments = parser.parse_args()
    only = frozenset(filter(None, arguments.only.split(",")))
    if not only <= set(GROUPS):
        parser.error(f"--only takes any of {','.join(GROUPS)}")
    chosen = [name for name in arguments.transport.split(",") if name]
    if not set(chosen) <= set(names):
        parser.error(f"--transport takes any of {','.join(names)}")
    parts = [part for part in arguments.peers.split(",") if part]
    peers = tuple(
        peer
        for peer in PEERS
        if not parts
        or any(part in peer.name.lower() for part in parts)
        or (peer in (BARE, OURS) and not arguments.profile)
    )
    if not peers:
        parser.error("--peers matches none of " + ", ".join(peer.name for peer in PEERS))
    seconds = 0.3 if arguments.quick else 0.5
    if arguments.profile:
        seconds = 2.0
    options = Options(
        only=only or frozenset(GROUPS if not arguments.profile else ("echo",)),
        transports=tuple(names[name] for name in chosen) or TRANSPORTS,
        peers=peers,
        quick=arguments.quick,
        repeats=arguments.repeats or (3 if arguments.quick or arguments.profile else 5),
        seconds=arguments.seconds or seconds,
        match=arguments.match,
    )
    return options, arguments


async def main() -> int:
    """Run the benchmarks, print the results and write the report."""
    options, arguments = parse()
    task = asyncio.current_task()
    assert task is not None
    # Stop the servers too if this process is terminated.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    machine.raise_file_limit()
    run = Run(options)
    os.sched_setaffinity(0, {run.generator_core})
    # Few reference cycles are created within one sample; collect between samples instead.
    gc.disable()
    if arguments.profile:
        await profile(run, arguments.profile)
        return 0
    for text in run.results.head:
        print(text)
    began = time.monotonic()
    for name in GROUPS:
        if name in options.only:
            await run.group(name)
    run.note(f"took {(time.monotonic() - began) / 60:.1f} minutes")
    print("\ntargets")
    rows = [verdict.row() for verdict in verdicts(run.results)]
    for row in rows:
        print(row)
    for path in report.save(run.results, rows, arguments.out):
        print(f"wrote {path}")
    return int(any("FAILED" in note for note in run.results.notes))


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
