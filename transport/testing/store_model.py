"""`StoreModel`: the server of a `JournaledStore`, in the memory of a test.

The processes run the same code as over Redis, on the test's own clock; only the connections end
here. A test can let it pause, fail, restart, lose data and go back, and let a write run late.
"""

from __future__ import annotations

import asyncio
import contextvars
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from transport.limits import Limits
from transport.protocol.journal import (
    Claim,
    End,
    Image,
    Write,
    epoch_of,
)
from transport.stores.journaled import (
    TOUCH,
    Failed,
    Outcome,
)
from transport.stores.remote.store import RemoteStore
from transport.stores.remote.wire import (
    Begin,
    Birth,
    GiveUp,
    Greeting,
    Locate,
    Look,
    Question,
    ReadBirth,
    ReadSecret,
    Renew,
    Renewal,
    SetBirth,
    ShareSecret,
    Sign,
    Take,
    Unanswered,
    Unwilling,
)
from transport.testing.store_connection import Connection, fail, resolve
from transport.testing.store_data import Data
from transport.testing.topic_model import TopicModel

_BEGINNING = 1_700_000_000.0
"""The server's clock when that of the loop is 0, in seconds."""

T = TypeVar("T")


class StoreModel:
    """A server that keeps sessions, for several processes in one event loop.

    Attributes:
        data: what it keeps. A test may read it and change it.
        run: identifies its run.
        delay: seconds that a command takes to the server; the answer takes as many. May be set.
        refusal: the error that the server answers to everything that writes; "" if it does not. May
            be set, as to ``"OOM command not allowed"``.
        broken: the error that a write of a session is answered, by the id of the session.
        topics: what is published; its own faults come from `pause`, `stop` and `forget_all` too.
        deaf: names of processes that have lost the connection on which others reach them.
    """

    def __init__(self) -> None:
        self.data = Data()
        self.delay: float = 0.0
        self.refusal = ""
        self.broken: dict[str, str] = {}
        self.deaf: set[str] = set()
        self.run = ""
        self._loop = asyncio.get_running_loop()
        self._runs = 0
        self._is_down = False
        self._is_paused = False
        self._backlog: deque[Callable[[], None]] = deque()
        self._held: deque[float] = deque()
        self.connections: dict[Connection, None] = {}
        """Those that have not ended, in their order."""
        self._listeners: set[str] = set()
        self.topics = TopicModel()
        self._begin_run()

    # The processes

    def connect(self, limits: Limits, secret: bytes | None = None) -> ModelStore:
        """Return the store of another process, which starts it: its tasks belong to that process.

        Args:
            limits: those of the hub.
            secret: the key of the tokens, unless the server keeps it.
        """
        name = secrets.token_hex(6)
        wires = [_Wire(self, name, limits) for _ in range(2)]
        return ModelStore(self, name, wires, secret)

    # Faults

    def pause(self) -> None:
        """Execute nothing until `resume`. What arrives meanwhile is kept, also if its connection
        ends before that."""
        self._is_paused = True
        self.topics.pause()

    def resume(self) -> None:
        """Execute what has arrived since `pause`, in its order, and go on."""
        self._is_paused = False
        self.topics.resume()
        while self._backlog and not self._is_paused:
            self._backlog.popleft()()

    def hold_writes(self, *seconds: float) -> None:
        """Let the next flights, one for each number, run that many seconds late, without an answer.

        What is written later does not wait for them.
        """
        self._held += seconds

    def hold_writes_no_more(self) -> None:
        """End `hold_writes` for flights that have not begun."""
        self._held.clear()

    def stop(self) -> None:
        """End all connections and refuse new ones, until `restart`."""
        self._is_down = True
        self._backlog.clear()
        for connection in list(self.connections):
            connection.cut()

    def restart(self, data: Data | None = None) -> None:
        """End all connections, and begin another run.

        Args:
            data: what it has then, such as ``model.data.copy()`` of some time ago; ``Data()`` for a
                server that has lost everything. By default it keeps what it has.
        """
        self.stop()
        self._is_down = self._is_paused = False
        self.topics.resume()
        if data is not None:
            self.data = data.copy()
            self.topics.flush()
        self._begin_run()

    def forget_all(self) -> None:
        """Lose all data, in the same run, as FLUSHALL does."""
        self.data = Data()
        self.topics.flush()

    def forget(self, session_id: str) -> None:
        """Lose one session."""
        self.data.sessions.pop(session_id, None)

    def cut(self, name: str) -> None:
        """End the connections of a process; it may connect again. What it has sent is executed."""
        for connection in list(self.connections):
            if connection.name == name:
                connection.cut()

    def _begin_run(self) -> None:
        self._runs += 1
        self.run = f"{self._runs:040x}"

    # What a test looks at

    def image(self, session_id: str) -> Image | None:
        """Return a session, as it is stored."""
        return self.data.image(session_id, self.now)

    # The connections

    def open_connection(self, name: str) -> Connection:
        """Accept a connection of a process."""
        if self._is_down:
            raise Unanswered("the connection was refused")
        connection = Connection(name, self.connections.pop)
        self.connections[connection] = None
        return connection

    def listen(self, name: str, is_listening: bool) -> None:
        """Note whether a process receives what others send to it."""
        (self._listeners.add if is_listening else self._listeners.discard)(name)

    async def execute(
        self, connection: Connection, work: Callable[[], T], *, is_flight: bool = False
    ) -> T:
        """Send something to the server, and return its answer."""
        if connection.is_cut:
            raise Unanswered("the connection has ended")
        answer: asyncio.Future[T] = self._loop.create_future()
        connection.answers[answer] = None
        now = self._loop.time()
        is_lost = is_flight and bool(self._held)
        if is_lost:
            due = now + self._held.popleft()
        else:
            due = connection.last_arrival = max(connection.last_arrival, now + self.delay)

        def run() -> None:
            try:
                result = work()
            except Unwilling as error:
                self._call_at(self._loop.time() + self.delay, fail, answer, error)
            else:
                if not is_lost:
                    self._call_at(self._loop.time() + self.delay, resolve, answer, result)

        def arrive(runs: int = self._runs) -> None:
            if runs != self._runs or self._is_down:
                return
            if self._is_paused:
                self._backlog.append(run)
            else:
                run()

        self._call_at(due, arrive)
        try:
            return await answer
        finally:
            connection.answers.pop(answer, None)

    def _call_at(self, when: float, callback: Callable[..., None], *arguments: Any) -> None:
        """Call a function of the server, which runs also if the process that asked is stopped."""
        context = contextvars.Context()
        if when > self._loop.time():
            self._loop.call_at(when, callback, *arguments, context=context)
        else:
            self._loop.call_soon(callback, *arguments, context=context)

    # What it does

    @property
    def now(self) -> float:
        """The server's clock, in seconds."""
        return _BEGINNING + self._loop.time()

    def birth(self) -> Birth:
        """Return since when the data is what it is."""
        now = int(self.now * 1000)
        if self.data.birth is None:
            return Birth("", None, now)
        run, since = self.data.birth
        return Birth(run, int(since * 1000), now)

    def write(self, session_id: str, write: Write, limits: Limits) -> Outcome:
        """Write a session.

        Raises:
            Unwilling: it refuses writes.
        """
        if self.refusal:
            raise Unwilling(self.refusal)
        if session_id in self.broken and not isinstance(write.change, End):
            return Failed(self.broken[session_id])
        return self.data.write(session_id, write, limits, self.now)

    def look(self, home: str) -> Sign:
        """Return what can be seen of a process."""
        is_subscribed = home in self._listeners and home not in self.deaf
        return Sign(self.data.lease(home, self.now), is_subscribed)


class ModelStore(RemoteStore):
    """The store of one process.

    Args:
        model: the server.
        name: of the process.
        wires: its connections: for writes, and for everything else.
        secret: see `RemoteStore`.

    Attributes:
        slept: seconds for which the machine of the process was suspended: its timers did not count
            them. May be set.
    """

    def __init__(
        self, model: StoreModel, name: str, wires: Sequence[_Wire], secret: bytes | None
    ) -> None:
        self.slept = 0.0
        loop = asyncio.get_running_loop()
        super().__init__(name, *wires, secret=secret, clock=lambda: loop.time() + self.slept)
        self.model = model
        self._wires = wires

    def vanish(self) -> None:
        """Send nothing more, as a process that was killed. Its tasks are for the caller to end."""
        self.model.listen(self.name, False)
        for wire in self._wires:
            wire.vanish()


class _Wire:
    """Implements `Wire`.

    Args:
        model: the server.
        name: of the process.
        limits: those of the hub.
    """

    def __init__(self, model: StoreModel, name: str, limits: Limits) -> None:
        self.model = model
        self._name = name
        self._limits = limits
        self._run = ""
        self._connection: Connection | None = None
        self._has_vanished = False

    def vanish(self) -> None:
        """Send nothing more."""
        self._has_vanished = True
        self.drop()

    async def connect(self) -> Greeting:
        """See `Wire.connect`."""
        self.drop()
        if self._has_vanished:
            raise Unanswered("the process is gone")
        self._connection = self.model.open_connection(self._name)
        greeting = await self.model.execute(
            self._connection, lambda: Greeting(self.model.run, self.model.birth())
        )
        self._run = greeting.run
        return greeting

    async def check(self) -> None:
        """See `Wire.check`."""

    async def write(self, writes: Sequence[tuple[str, Write]]) -> Sequence[Outcome]:
        """See `Wire.write`."""

        def write_all() -> list[Outcome]:
            return [self.model.write(each, write, self._limits) for each, write in writes]

        return await self._execute(write_all, is_flight=True)

    async def ask(self, questions: Sequence[Question[Any]]) -> Sequence[Any | Failed]:
        """See `Wire.ask`."""
        return await self._execute(lambda: [self._answer(each) for each in questions])

    def drop(self) -> None:
        """See `Wire.drop`."""
        if self._connection is not None:
            self._connection.cut()
            self._connection = None

    async def _execute(self, work: Callable[[], T], *, is_flight: bool = False) -> T:
        if self._connection is None:
            raise Unanswered("the connection has ended")
        return await self.model.execute(self._connection, work, is_flight=is_flight)

    def _answer(self, question: Question[Any]) -> Any:
        model, data, now = self.model, self.model.data, self.model.now
        if isinstance(question, Renew | SetBirth | ShareSecret | Begin | Take) and model.refusal:
            return Failed(model.refusal)
        match question:
            case ReadBirth():
                return model.birth()
            case SetBirth(seen=seen):
                birth = model.birth()
                if birth.is_of(seen) or birth.run != model.run:
                    data.birth = model.run, now
                return model.birth()
            case Renew(count=count):
                model.listen(self._name, True)
                return Renewal(data.renew(self._name, count, now), model.birth())
            case GiveUp():
                model.listen(self._name, False)
                data.leases.pop(self._name, None)
                return None
            case ReadSecret():
                return data.secret or None
            case ShareSecret(secret=secret):
                data.secret = data.secret or secret
                return data.secret
            case Look(home=home):
                return model.look(home)
            case Locate(session_id=session_id):
                return data.locate(session_id, now)
            case Begin(opening=opening, session_id=session_id, image=image):
                return data.open(opening, session_id, image, self._limits, self._run, now)
            case Take(session_id=session_id, home=home, fence=fence, name=name):
                ttl = round((self._limits.ttl + TOUCH) * 1000)
                epoch = epoch_of(self._run, name)
                claimed = Claim(home, fence, self._name, self._run, epoch, ttl)
                return data.claim(session_id, claimed, self._limits, now)
            case _:
                raise AssertionError(question)
