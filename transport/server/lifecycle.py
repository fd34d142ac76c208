"""`Lifecycle`: starts a hub's runtime at first use, and replaces it when its server has stopped.

A hub outlives servers: tests run many after one another in one process, each in an event loop of
its own, and some serve twice in one loop. A runtime belongs to one loop and one server. While that
loop runs, no other one is served: its sessions would have to end, or be used in two threads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

from transport.hosts import processes
from transport.hosts.host_limits import check_host_limits
from transport.hosts.running import Host, find_host
from transport.server import shutdown
from transport.server.loops import second_loop, wrong_thread
from transport.server.runtime import Runtime
from transport.telemetry.log import WARNING, log_event


class Lifecycle:
    """The runtime of one hub.

    Args:
        make: creates a runtime for the running event loop.
        frame: bytes of the largest frame on a WebSocket; 0 if none are served.

    Attributes:
        current: the runtime, or None while the hub is not running.
        has_lifespan: whether the runtime runs within `Hub.lifespan`.
    """

    def __init__(self, make: Callable[[], Runtime], frame: int) -> None:
        self.current: Runtime | None = None
        self._has_started = False
        self.has_lifespan = False
        self._make = make
        self._frame = frame
        self._has_checked_host = False
        self._starting = threading.Lock()
        self._unlisten: Callable[[], None] | None = None
        self._host: Host | None = None

    def start(self) -> Runtime:
        """Return the runtime of the running event loop, creating it on first use.

        Raises:
            RuntimeError: the hub serves in another loop, which is running.
        """
        runtime = self.current
        if runtime is not None and runtime.loop is asyncio.get_running_loop():
            return runtime
        with self._starting:
            if self.current is not None and self.current.loop.is_running():
                raise second_loop(self.current.loop, self.current.registry.clock.thread)
            self.stop()  # a runtime left over from an earlier loop
            self.current = self._make()
            self._has_started = True
            self._watch_processes(self.current)
            return self.current

    def _watch_processes(self, runtime: Runtime) -> None:
        """Notice that other processes of the server have sessions of their own."""
        registry = runtime.registry
        if not registry.store.shared:
            registry.on_drain = processes.watch(runtime.loop)

    @property
    def has_stopped(self) -> bool:
        """Whether there was a runtime, but no longer."""
        return self._has_started and self.current is None

    @property
    def is_here(self) -> bool:
        """Whether the running event loop has the runtime."""
        return self.current is not None and self.current.loop is asyncio.get_running_loop()

    def get_current(self, call: str, arguments: str = "") -> Runtime | None:
        """Return the runtime, or None while the hub is not running.

        Args:
            call: the function that an application has called, as it writes it.
            arguments: the function's arguments, likewise.

        Raises:
            RuntimeError: the call was made in another thread or event loop than the hub's.
        """
        runtime = self.current
        if runtime is None or runtime.loop is asyncio._get_running_loop():
            return runtime
        if not runtime.loop.is_running():
            return None  # stopped or closed: its sessions are out of reach
        raise wrong_thread(call, arguments)

    def enter(self) -> Runtime:
        """Return the runtime for a request, and drain it when the server is told to stop.

        Unlike `start` this runs inside a server, whose signals and flags can now be watched.
        """
        runtime = self.start()
        host = self._host
        if (
            host is not None
            and (runtime.registry.draining or host.should_exit())
            and not host.is_running()
        ):
            # The runtime belongs to a server that has stopped; this request is from a new one.
            self.stop()
            runtime = self.start()
        if self._unlisten is None:
            registry = runtime.registry
            self._unlisten = shutdown.on_shutdown(partial(self._depart, runtime))
            self._host = find_host()
            if self._host is not None:
                registry.watch_exit(self._host.should_exit)
                self._check_host(self._host)
        return runtime

    def _depart(self, runtime: Runtime) -> float:
        """Drain a runtime; return the seconds for which its server is to go on."""
        stop_listening = self._host.stop_listening if self._host is not None else None
        if stop_listening is None:  # clients that come back could reach this process again
            runtime.begin_drain()
            return 0.0
        stop_listening()
        return runtime.depart()

    def _check_host(self, host: Host) -> None:
        """Log once what is wrong with the server, or with how it runs the hub."""
        if self._has_checked_host:
            return
        self._has_checked_host = True
        if self._frame:
            check_host_limits(host.websocket, self._frame)
        if not self.has_lifespan:
            log_event(
                WARNING,
                "no_lifespan",
                "the hub runs without its lifespan, so the server cuts off its handlers when it "
                "stops: pass lifespan=hub.lifespan to the outermost application, or enter "
                "hub.lifespan() in that application's own lifespan",
            )

    def stop(self) -> None:
        """Stop the runtime, if there is one, and no longer watch its server."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        if self.current is not None:
            self.current.stop()
            self.current = None
        self._host = None
