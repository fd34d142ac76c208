"""`World`: a session that a store keeps, the processes that run it one after the other, its page.

A schedule is a list of steps with small numbers as arguments, which are the only source of variety.
Every step can be made in every situation, and does nothing if there is nothing for it to do.

Whatever happens, a message of the page is handled, and its replies arrive once and in order, though
a handler may be given some of them again after a kill. If the store has lost what no living process
knows, the session is reset, and what the page is told of its messages is true.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.properties.stored.handler import Handler
from tests.properties.stored.page import CLIENT, Connection, Page, replies_to
from tests.properties.stored.process import Process
from tests.properties.stored.store import StoreModel
from transport.limits import Limits
from transport.protocol.codec import Decoder
from transport.protocol.frames import EncodedFrame, Open, ResetReason
from transport.protocol.journal import Image
from transport.protocol.server.session import ServerSession
from transport.protocol.states import AttachmentState, SessionState

LIMITS = Limits(unstored=3, window_messages=6, heartbeat=1e5, ttl=1e6, stream=1e6, closing=1e5)
PROCESSES = 3
TURN = 0.5
"""Seconds that pass in a turn in which time passes."""
PAUSES = (0.5, 1.0, 2.0, 4.0, 7.0, 9.0)
REST = 120
"""Turns in which everything comes to rest."""


class World:
    """Everything that a schedule needs.

    Attributes:
        now: seconds.
        store: of the session.
        processes: all that there ever were, by their names.
        page: the client.
        finished: the messages that a handler has finished with.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.limits = LIMITS
        self.store = StoreModel(lambda: self.now)
        self.processes: dict[str, Process] = {}
        self.finished: set[int] = set()
        self.page = Page(LIMITS, self.finished.__contains__)
        self._connections: list[Connection] = []
        self._unnoticed: set[Connection] = set()
        self._handed: dict[int, int] = {}
        """How often each message was handed out."""
        self._next: dict[Process, int] = {}
        """The message that each process hands out next."""
        self._claims = 0
        self._entries = 0
        self._told = 0
        """The highest mark of what is handled that was written on a connection."""
        self._is_lost = False
        """Whether the store has lost something that its home has not healed."""
        self._is_lossy = False
        """Whether it has lost what no living home knows."""
        self._was_flushed = self._was_reset = self._may_close = False
        for _ in range(PROCESSES):
            self._start()
        self._begin(next(iter(self.processes.values())))

    def _start(self) -> None:
        name = f"process-{len(self.processes)}"
        self.processes[name] = Process(self, name)

    def _begin(self, process: Process) -> None:
        """Let the session begin at a process, without trouble."""
        store = self.store
        image = store.image = Image(
            home=process.name,
            subject="",
            token=b"",
            hub="hub",
            born=0,
            seen=0,
            run=store.run,
            epoch=store.run,
            holder=CLIENT,
        )
        session = ServerSession("s1", LIMITS, self.now)
        session.journal()
        process.hold(image, session)
        self._next[process] = 1
        self._attach(process)
        [connection] = self.page.connections
        self.page.turn(self.now)
        frame = Decoder(LIMITS).decode(connection.up.popleft())
        assert isinstance(frame, Open)
        process.accept(connection, frame, session, token="s1.secret")
        self.turn(3)

    # What the processes ask and report

    def connections_of(self, process: Process) -> list[Connection]:
        return [one for one in self._connections if one.process is process]

    def is_cut_unnoticed(self, connection: Connection) -> bool:
        return connection in self._unnoticed

    def handed_out(self, process: Process, number: int) -> None:
        """Check that a message may be handed out."""
        assert number == self._next[process], f"{number} instead of {self._next[process]}"
        self._next[process] += 1
        # After two losses, two homes may take themselves for the last for a moment.
        is_told = number in self.page.handled and process is self._home()
        assert not is_told, f"{number} is handed out, and told as handled"
        self._handed[number] = self._handed.get(number, 0) + 1
        if not self._is_lossy:
            assert number > self._told, f"{number} is handed out, and {self._told} was told"
            again = sum(self._handed.values()) - len(self._handed)
            assert again <= self._claims * LIMITS.unstored, f"{again} were handed out again"

    def check_shown(self, frames: Sequence[EncodedFrame]) -> None:
        """Note which messages are told as handled. Check that an end is stored that is told."""
        for encoded in frames:
            frame = json.loads(encoded)
            told = frame[1] if isinstance(frame, list) else frame.get("ack", 0)
            self._told = max(self._told, told)
            kind = "" if isinstance(frame, list) else frame["type"]
            assert kind != "close" or self.store.has_closed, "the close is not stored"
            assert kind != "reset" or self.store.has_ended, "the end is not stored"

    def check_numbers(self, connection: Connection) -> None:
        """Check that the page has no other messages under the numbers that its home has given."""
        attachment, handler, page = connection.attachment, connection.process.handler, self.page
        is_confirmed = attachment is not None and attachment.state is AttachmentState.CONFIRMED
        if handler is None or not is_confirmed or connection not in page.connections:
            return
        for number, message in handler.given.items():
            if page.reset is None and number <= len(page.messages):
                has = page.messages[number - 1]
                assert message == has, f"number {number} is given to {message}, and was to {has}"

    def claimed(self, process: Process, image: Image, session: ServerSession) -> None:
        """Note that a process is the home of the session now."""
        is_whole = not image.partial or bool(image.closing)
        assert self._was_flushed or is_whole, "a step was cut in the middle of a message"
        self._claims += 1
        self._next[process] = image.handled + 1
        if not image.closing and session.state is not SessionState.OPEN:
            self._may_close = True

    def proven(self, process: Process) -> None:
        """Note that a home has proven that the store has everything of it, unless that has lost it
        since; and whether a later home is gone, of which the store has lost all."""
        image = self.store.image
        if image is not None and image.home == process.name and image.version == process.version:
            self._is_lost = False
        if process.fence < max(each.fence for each in self._next):
            self._is_lossy = True

    def check_may_reset(self, reason: ResetReason) -> None:
        assert self._is_lossy, f"reset ({reason}) though nothing was lost"

    def check_may_forget(self) -> None:
        assert self._is_lossy, "the session is unknown though nothing was lost"

    # Steps

    def do(self, name: str, arguments: tuple[int, ...]) -> None:
        """Make one step; see `STEPS`."""
        getattr(self, name)(*arguments)
        self._note_loss()

    def _note_loss(self) -> None:
        """Note whether nobody can heal what the store has lost."""
        home = self._home()
        if self._is_lost and (home is None or not home.is_running or home.is_lapsed):
            self._is_lossy = True

    def _home(self) -> Process | None:
        """Return the process that has the newest claim of the session."""
        homes = [each for each in self.processes.values() if each.session is not None]
        homes = [each for each in homes if not each.is_dead]
        return max(homes, key=lambda each: each.fence, default=None)

    def _handlers(self, *, proven: bool = False) -> list[Handler]:
        """Return the handlers that run; with ``proven`` those of homes that have not lapsed."""
        return [
            each.handler
            for each in self.processes.values()
            if each.is_running
            and each.handler is not None
            and not (proven and (each.session is None or each.session.paused or each.is_lapsed))
        ]

    def _living(self, pick: int) -> Process | None:
        living = [each for each in self.processes.values() if not each.is_dead]
        return living[pick % len(living)] if living else None

    def say(self, count: int) -> None:
        for _ in range(count):
            self.page.say()

    def _attach(self, process: Process) -> None:
        self.page.attach(process, self.now)
        self._connections.append(self.page.connections[-1])

    def come_back(self, pick: int) -> None:
        """Open a connection to a process, if the page has none, or one."""
        process = self._living(pick)
        if process is not None and len(self.page.connections) < 2 and not self.page.is_over:
            self._attach(process)

    def cut(self, noticed: int) -> None:
        """Cut the connections of the page."""
        for connection in list(self.page.connections):
            if not noticed:
                self._unnoticed.add(connection)
            self.page.cut(connection, reason="cut", now=self.now)

    def notice(self) -> None:
        """Let the processes notice which connections are cut."""
        self._unnoticed.clear()

    def take(self, count: int) -> None:
        """Let the handlers ask for their next messages."""
        for _ in range(count):
            for handler in self._handlers():
                handler.take()

    def reply(self, count: int) -> None:
        for handler in self._handlers():
            handler.reply(count)

    def flush(self) -> None:
        self._was_flushed = True
        for handler in self._handlers():
            handler.must_flush = True

    def publish(self, count: int) -> None:
        """Publish to the topic that the session has joined."""
        self._entries += count
        self._offer()

    def _offer(self) -> None:
        for handler in self._handlers(proven=True):
            handler.offer(self._entries)

    def close(self, fails: int) -> None:
        home = self._home()
        if home is not None:
            self._may_close = True
            if home.active_handler is not None:
                home.active_handler.close(fails=bool(fails))

    def reset(self) -> None:
        home = self._home()
        if home is not None:
            self._was_reset = True
            home.reset()

    def kill(self, pick: int) -> None:
        process = self._home() if pick % 2 else self._living(pick)
        if process is not None:
            process.kill()
            self._start()

    def succeed(self, pick: int) -> None:
        """Kill the home, and let the page come back when its lease has ended."""
        home = self._home()
        if home is not None:
            home.kill()
            self._start()
            self.wait(4)
            self.come_back(pick)
            self.turn(4)

    def stop(self, pick: int) -> None:
        process = self._home() if pick % 2 else self._living(pick)
        if process is not None:
            process.is_running = False

    def go_on(self) -> None:
        for process in self.processes.values():
            process.is_running = not process.is_dead

    def shut_down(self) -> None:
        home = self._home()
        if home is not None:
            home.shut_down()
            self._start()

    def replace_under_stale_home(self, pick: int, changes: int) -> None:
        """Stop the home until another process has the session, then lose that."""
        self._pass_under_stale_home(pick)
        self.go_back(changes)
        self.go_on()

    def lose_last_home(self, pick: int, changes: int, count: int) -> None:
        """Do so, and kill the other process too: the first goes on, and nobody knows of that."""
        stale = self._home()
        self.cut(0)
        self._pass_under_stale_home(pick)
        self.say(count)
        self.publish(2 - count)
        for _ in range(4):
            self.turn(1)
            self.take(2)
        self.turn(1)
        home = self._home()
        self.go_back(changes)
        if home is not None and home is not stale:
            home.kill()
            self._start()
        self.go_on()
        self.wait(5)
        self.publish(count)
        self.turn(1)

    def _pass_under_stale_home(self, pick: int) -> None:
        self.stop(1)
        self.wait(4)
        self.come_back(pick)
        self.turn(4)
        self.take(3)
        self.turn(1)

    def pause_store(self) -> None:
        self.store.is_paused = True

    def resume_store(self) -> None:
        self.store.is_paused = False

    def forget(self) -> None:
        self.store.forget()
        self._is_lost = True

    def go_back(self, changes: int) -> None:
        self.store.go_back(changes)
        self._is_lost = True

    def stall(self, pick: int) -> None:
        """Let the store take so long that writes are sent again; the first copies come later."""
        self.process_turn(pick)
        self.pause_store()
        self.wait(3)
        self.resume_store()
        self.turn(1)

    def late(self, pick: int) -> None:
        """Let a command arrive that was sent on a connection that was dropped."""
        self.store.serve_late(pick)

    def serve_one(self, pick: int) -> None:
        self.store.serve_one(pick)

    def process_turn(self, pick: int) -> None:
        """Let one process do what is due, and its connections bring what was written."""
        process = self._living(pick)
        if process is not None:
            process.turn()
        self.page.turn(self.now)

    def turn(self, count: int) -> None:
        """Let everything that is not stopped do what is due."""
        for _ in range(count):
            self.store.serve()
            for process in list(self.processes.values()):
                process.turn()
                self._note_loss()
            self.page.turn(self.now)

    def wait(self, pause: int) -> None:
        """Let time pass."""
        for _ in range(int(PAUSES[pause] / TURN)):
            self.now += TURN
            self._note_loss()
            self.turn(1)

    # The end

    def rest(self) -> None:
        """End all trouble: everything arrives, or the page is told what has become of it."""
        self.resume_store()
        self.go_on()
        self.notice()
        for turn in range(REST):
            self.now += TURN
            if turn % 4 == 0:
                self.late(turn)
            if not self.page.connections:
                self.come_back(turn)
            self.turn(2)
            self.take(3)
            self._offer()
            if self._is_at_rest() and turn > 25:
                break
        self._check_fates()
        page = self.page
        assert self._is_at_rest(), (
            f"handled {sorted(page.handled)} of {page.sent}, replies up to {page.replied}, "
            f"{page.entries} of {self._entries} entries"
        )

    def _is_at_rest(self) -> bool:
        page = self.page
        if page.is_over:
            return True
        last = max((n for n in range(1, page.sent + 1) if replies_to(n)), default=0)
        return (
            len(page.handled) == page.sent
            and page.replied == (last, replies_to(last) if last else 0)
            and page.entries == self._entries
        )

    def _check_fates(self) -> None:
        page = self.page
        told = page.not_handled.intersection(self._handed)
        assert not told, f"told as not handled, and handed out: {told}"
        if page.reset is not None:
            is_own = self._was_reset and page.reset.reason is ResetReason.SHUTDOWN
            assert is_own or self._is_lossy, page.reset
        if page.closed is not None:
            assert self._may_close, page.closed
            if not self._is_lossy:
                assert page.closed.clean, page.closed
