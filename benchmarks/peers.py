"""The peers to compare, and how to start each."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from benchmarks import redis
from benchmarks.clients import engineio, onechannel, plain, sockjs
from benchmarks.generator import HOST, WAIT_TIMEOUT, Client, Messages
from benchmarks.redis import Redis

ROOT = Path(__file__).parents[1]
NODE = Path(__file__).parent / "node"

WEBSOCKET, STREAM, POLL = "WebSocket", "SSE + POST", "long poll + POST"
TRANSPORTS = (WEBSOCKET, STREAM, POLL)

NewClient = Callable[[int, Messages, int], Client]


@dataclass(frozen=True, slots=True, eq=False)
class Peer:
    """One server to compare.

    Attributes:
        name: its name in the tables.
        server: a module of ``benchmarks.servers``, or a file of ``benchmarks/node``.
        clients: the client class for each transport that the peer has.
        needs: required Python modules or npm packages.
        compression: whether its server accepts compressed messages.
        processes: how many processes it has; clients take turns with them.
        relays: whether all clients are at the first process instead, and their sessions in the
            second.
        stored: whether its sessions are in a Redis.
    """

    name: str
    server: str
    clients: dict[str, NewClient]
    needs: tuple[str, ...] = ()
    compression: bool = False
    processes: int = 1
    relays: bool = False
    stored: bool = False

    @property
    def on_node(self) -> bool:
        """Whether the server runs on Node.js."""
        return self.server.endswith(".mjs")

    @property
    def missing(self) -> str | None:
        """The reason why the peer cannot be started here, or None."""
        if self.on_node:
            if shutil.which("node") is None:
                return "Node.js is not installed"
            for package in self.needs:
                if not (NODE / "node_modules" / package).is_dir():
                    return f"the npm package {package} is not installed"
            return None
        for module in self.needs:
            if importlib.util.find_spec(module) is None:
                return f"the Python package {module} is not installed"
        if self.stored and not redis.is_installed():
            return f"{redis.EXECUTABLE} is not installed"
        return None

    def command(self, role: str, port: int, profile: str | None, out: Path) -> list[str]:
        """Return the command that starts the server as ``echo``, ``lobby`` or ``backlog``."""
        if self.on_node:
            return ["node", "--expose-gc", str(NODE / self.server), role, str(port)]
        command = [sys.executable, "-m", "benchmarks.serve"]
        command += [f"benchmarks.servers.{self.server}:{role}", "--port", str(port)]
        if self.compression:
            command.append("--compression")
        if profile is not None:
            command += ["--profile", profile, "--out", str(out)]
        return command


OURS = Peer(
    "onechannel",
    "onechannel",
    {
        WEBSOCKET: onechannel.ChannelWebSocket,
        STREAM: onechannel.ChannelStream,
        POLL: onechannel.ChannelPoll,
    },
)
COMPRESSED = Peer(
    "onechannel, compressed",
    "onechannel",
    {WEBSOCKET: onechannel.CompressedWebSocket},
    compression=True,
)
"""Ours with uvicorn's default, which accepts the compression that browsers offer."""
WRAPPED = Peer("onechannel, as_websocket(bare)", "wrapped", OURS.clients)
"""The bare callable below a hub: what a WebSocket endpoint that exists costs there."""
_RELAYED_CLIENTS: dict[str, NewClient] = {
    WEBSOCKET: onechannel.RelayedWebSocket,
    STREAM: onechannel.RelayedStream,
    POLL: onechannel.RelayedPoll,
}
RELAYED = Peer("onechannel, relayed", "workers", _RELAYED_CLIENTS, processes=2, relays=True)
"""Two workers: the clients of one have their sessions in the other."""
STORED = Peer("onechannel, Redis", "stored", OURS.clients, needs=("redis",), stored=True)
STORED_RELAYED = Peer(
    "onechannel, Redis, relayed",
    "stored",
    _RELAYED_CLIENTS,
    needs=("redis",),
    processes=2,
    relays=True,
    stored=True,
)
"""Two processes that share a Redis: the clients of one have their sessions in the other."""
STORED_SPREAD = Peer(
    "onechannel, Redis, two processes",
    "stored",
    OURS.clients,
    needs=("redis",),
    processes=2,
    stored=True,
)
"""Two processes that share a Redis, with half of the clients and sessions in each."""
BARE = Peer(
    "bare ASGI callable",
    "bare",
    {WEBSOCKET: plain.PlainWebSocket, STREAM: plain.PlainStream, POLL: plain.PlainPoll},
)

PEERS: tuple[Peer, ...] = (
    BARE,
    OURS,
    COMPRESSED,
    WRAPPED,
    Peer("Starlette WebSocket", "starlette_websocket", {WEBSOCKET: plain.PlainWebSocket}),
    Peer(
        "sse-starlette + POST",
        "sse_starlette_post",
        {STREAM: plain.PlainStream},
        needs=("sse_starlette",),
    ),
    Peer(
        "python-engineio",
        "python_engineio",
        {WEBSOCKET: engineio.EngineWebSocket, POLL: engineio.EnginePoll},
        needs=("engineio",),
    ),
    Peer(
        "python-socketio",
        "python_socketio",
        {WEBSOCKET: engineio.SocketWebSocket, POLL: engineio.SocketPoll},
        needs=("socketio",),
    ),
    Peer("ws (Node)", "ws.mjs", {WEBSOCKET: plain.PlainWebSocket}, needs=("ws",)),
    Peer(
        "engine.io (Node)",
        "engineio.mjs",
        {WEBSOCKET: engineio.EngineWebSocket, POLL: engineio.EnginePoll},
        needs=("engine.io",),
    ),
    Peer(
        "sockjs (Node)",
        "sockjs.mjs",
        {
            WEBSOCKET: sockjs.SockJsWebSocket,
            STREAM: sockjs.SockJsStream,
            POLL: sockjs.SockJsPoll,
        },
        needs=("sockjs",),
    ),
)


class Server:
    """A peer's server, in processes of its own, and the Redis that it needs.

    Args:
        peer: the peer that it belongs to.
        role: what the server does with a message.
        cores: the cores that it may use.
        profile: ``cpu``, ``calls``, or None for no profile.
    """

    def __init__(
        self, peer: Peer, role: str, cores: Collection[int], profile: str | None = None
    ) -> None:
        self.peer = peer
        self.role = role
        self.ports = [_free_port() for _ in range(peer.processes)]
        """If it relays, the first is that of its clients, the second that of their sessions."""
        self._next = itertools.cycle(self.ports)
        self._cores = cores
        self._profile = profile
        self._temporary = tempfile.TemporaryDirectory(prefix="onechannel-bench-")
        self._folder = Path(self._temporary.name)
        self._log = self._folder / "log.txt"
        self._processes: list[asyncio.subprocess.Process] = []
        self._redis = Redis(_free_port(), self._folder) if peer.stored else None

    @property
    def pids(self) -> list[int]:
        """The process ids, without that of its Redis."""
        return [process.pid for process in self._processes]

    @property
    def store_pids(self) -> list[int]:
        """The process ids of its Redis."""
        return self._redis.pids if self._redis is not None else []

    async def start(self) -> None:
        """Start the server, and return once it listens."""
        # A child inherits the core affinity of its parent.
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self._cores)
        try:
            if self._redis is not None:
                await self._redis.start()
            for port in self.ports:
                self._processes.append(await self._start(port))
        finally:
            os.sched_setaffinity(0, mine)
        try:
            async with asyncio.timeout(2 * WAIT_TIMEOUT):
                for port in self.ports:
                    while not await redis.listens(port):
                        if any(process.returncode is not None for process in self._processes):
                            raise RuntimeError("the process exited")
                        await asyncio.sleep(0.05)
        except (TimeoutError, RuntimeError) as error:
            written = self.log
            await self.stop()
            raise RuntimeError(f"{self.peer.name} did not start ({error}):\n{written}") from None

    async def _start(self, port: int) -> asyncio.subprocess.Process:
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.peer.command(self.role, port, self._profile, self._profile_of(port)),
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "NODE_ENV": "production",
                    "ONECHANNEL_WORKERS": str(self._folder / "workers"),
                    "BENCHMARK_REDIS": self._redis.url if self._redis is not None else "",
                },
            )

    def _profile_of(self, port: int) -> Path:
        return self._folder / f"profile-{port}.txt"

    @property
    def log(self) -> str:
        """The output of the server so far."""
        return self._log.read_text(errors="replace")

    async def stop(self) -> str:
        """Stop the server. Return the profiles of its processes if they were requested."""
        for process in self._processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM if self._profile else signal.SIGKILL)
            try:
                async with asyncio.timeout(WAIT_TIMEOUT):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._redis is not None:
            await self._redis.stop()
        profiles = [path for port in self.ports if (path := self._profile_of(port)).exists()]
        text = "\n\n".join([path.read_text() for path in profiles])
        self._temporary.cleanup()
        return text

    def collect_garbage(self) -> None:
        """Make a Node.js server collect its garbage. Python frees memory without being asked."""
        if self.peer.on_node:
            os.kill(self.pids[0], signal.SIGUSR2)

    def toggle_profile(self) -> None:
        """Start profiling on the first call, and stop on the second."""
        for pid in self.pids:
            os.kill(pid, signal.SIGUSR1)

    def client(self, transport: str, messages: Messages, first: int = 0) -> Client:
        """Return a new client of this server."""
        port = self.ports[0] if self.peer.relays else next(self._next)
        client = self.peer.clients[transport](port, messages, first)
        if self.peer.relays:
            assert isinstance(client, onechannel.Relayed)
            client.home = self.ports[1]
        return client


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
