"""The peers to compare, and how to start each."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients import engineio, onechannel, plain, sockjs
from benchmarks.generator import HOST, WAIT_TIMEOUT, Client, Messages

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
        relays: whether it has two processes, of which one passes on what belongs to the other.
    """

    name: str
    server: str
    clients: dict[str, NewClient]
    needs: tuple[str, ...] = ()
    compression: bool = False
    relays: bool = False

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
RELAYED = Peer(
    "onechannel, relayed",
    "workers",
    {
        WEBSOCKET: onechannel.RelayedWebSocket,
        STREAM: onechannel.RelayedStream,
        POLL: onechannel.RelayedPoll,
    },
    relays=True,
)
"""Two workers: the clients of one have their sessions in the other."""
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
    """A peer's server, in a process of its own (or two, if it relays) on a core of its own.

    Args:
        peer: the peer that it belongs to.
        role: what the server does with a message.
        core: the core that it may use.
        profile: ``cpu``, ``calls``, or None for no profile.
    """

    def __init__(self, peer: Peer, role: str, core: int, profile: str | None = None) -> None:
        self.peer = peer
        self.role = role
        self.ports = [_free_port() for _ in range(2 if peer.relays else 1)]
        """The first is that of its clients; the second that of their sessions."""
        self._core = core
        self._profile = profile
        self._folder = tempfile.TemporaryDirectory(prefix="onechannel-bench-")
        self._out = Path(self._folder.name) / "profile.txt"
        self._log = Path(self._folder.name) / "log.txt"
        self._processes: list[asyncio.subprocess.Process] = []

    @property
    def pids(self) -> list[int]:
        """The process ids."""
        return [process.pid for process in self._processes]

    async def start(self) -> None:
        """Start the server, and return once it listens."""
        # A child inherits the core affinity of its parent.
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self._core})
        try:
            for port in self.ports:
                self._processes.append(await self._start(port))
        finally:
            os.sched_setaffinity(0, mine)
        try:
            async with asyncio.timeout(2 * WAIT_TIMEOUT):
                for port in self.ports:
                    while not await self._listens(port):
                        if any(process.returncode is not None for process in self._processes):
                            raise RuntimeError("the process exited")
                        await asyncio.sleep(0.05)
        except (TimeoutError, RuntimeError) as error:
            written = self.log
            await self.stop()
            raise RuntimeError(f"{self.peer.name} did not start ({error}):\n{written}") from None

    async def _start(self, port: int) -> asyncio.subprocess.Process:
        profile = self._profile if port == self.ports[0] else None
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.peer.command(self.role, port, profile, self._out),
                cwd=ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "NODE_ENV": "production",
                    "ONECHANNEL_WORKERS": str(Path(self._folder.name) / "workers"),
                },
            )

    async def _listens(self, port: int) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            return False
        writer.close()
        return True

    @property
    def log(self) -> str:
        """The output of the server so far."""
        return self._log.read_text(errors="replace")

    async def stop(self) -> str:
        """Stop the server. Return its profile if one was requested, or an empty string."""
        for process in self._processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM if self._profile else signal.SIGKILL)
            try:
                async with asyncio.timeout(WAIT_TIMEOUT):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        text = self._out.read_text() if self._out.exists() else ""
        self._folder.cleanup()
        return text

    def collect_garbage(self) -> None:
        """Make a Node.js server collect its garbage. Python frees memory without being asked."""
        if self.peer.on_node:
            os.kill(self.pids[0], signal.SIGUSR2)

    def toggle_profile(self) -> None:
        """Start profiling on the first call, and stop on the second."""
        os.kill(self.pids[0], signal.SIGUSR1)

    def client(self, transport: str, messages: Messages, first: int = 0) -> Client:
        """Return a new client of this server."""
        client = self.peer.clients[transport](self.ports[0], messages, first)
        if self.peer.relays:
            assert isinstance(client, onechannel.Relayed)
            client.home = self.ports[1]
        return client


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
