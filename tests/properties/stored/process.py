"""`Process`: a process that may be the home of the session, with its handler.

It does what the server's layer does around the pure session: it takes what is new to the store, one
write at a time, keeps a lease, and claims the session of a home that is dead.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tests.properties.stored.handler import Handler
from tests.properties.stored.page import Connection
from tests.properties.stored.store import LEASE, Answer, Command
from transport.errors import ProtocolError
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import Open, Reset, ResetReason, ServerControl, reset_without_marks
from transport.protocol.journal import (
    Change,
    Claim,
    End,
    Heal,
    Image,
    Refusal,
    Release,
    Step,
    Touch,
    Write,
)
from transport.protocol.server import opening
from transport.protocol.server.opening import Attach, Begin, FinalAnswer, Found, Refuse, Replace
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import decode_tombstone, encode_tombstone

if TYPE_CHECKING:
    from tests.properties.stored.world import World

FLIGHT = 3.0
"""Seconds after which a write that has no answer is sent again, on another connection."""
TOUCH = 1.0
"""Seconds after which a session is touched again."""
TOPIC = "news"


class Process:
    """One process.

    Args:
        world: it belongs to.
        name: its own.

    Attributes:
        is_running: whether it does anything; False while it is stopped.
        is_dead: whether it was killed, or has shut down.
        session: the session, if it is its home.
        fence: that of the session.
        version: that of the last write.
        handler: its handler, if it is.
    """

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.is_running = True
        self.is_dead = False
        self.session: ServerSession | None = None
        self.fence = self.version = 0
        self.handler: Handler | None = None
        self.world = world
        self._store = world.store
        self._connection = self._store.connect(self._answered)
        self._answers: deque[tuple[Command, Answer]] = deque()
        self._decoder = Decoder(world.limits)
        self._links: list[Connection] = []
        self._waiting: list[tuple[Connection, Open]] = []
        """The opens that wait for a claim."""
        self._claim: Claim | None = None
        self._claimed_at = 0.0
        self._image: Image
        self._write: Write | None = None
        """The write that is under way."""
        self._sent_at = 0.0
        self._touched_at = 0.0
        self._renewed_at = -inf
        self._run = self._store.run
        self._has_lapsed = False
        """Whether it must prove that it has the session."""
        self._proves_from = 0
        """The first version that shows that it has the session."""
        self._must_heal = False
        self._must_touch = False
        self._is_releasing = False
        self._told: list[tuple[Connection, Reset]] = []
        """The opens that are answered by the reset of their session, once it is stored."""
        self._renew()

    # Its life

    def kill(self) -> None:
        self.is_dead, self.is_running = True, False
        self._store.drop(self._connection)
        for connection in self.world.connections_of(self):
            connection.has_ended = True

    def shut_down(self) -> None:
        """Let the handler finish with its message, and release the session."""
        self._is_releasing = True

    @property
    def is_lapsed(self) -> bool:
        """Whether its lease may have ended, by its own clock."""
        return self.world.now >= self._renewed_at + LEASE

    def turn(self) -> None:
        """Do what is due."""
        if not self.is_running:
            return
        self.look_at_lease()
        while self._answers:
            self._take_answer(*self._answers.popleft())
        self._renew()
        for connection in self.world.connections_of(self):
            while connection.up and not connection.has_ended:
                self._receive(connection, connection.up.popleft())
        if self.session is not None:
            self.session.tick(self.world.now)
        if self._claim is not None and self.world.now >= self._claimed_at + FLIGHT:
            self._give_claim_up()
        self._write_next()
        self._flush()

    # The lease

    def look_at_lease(self) -> None:
        """Hand nothing out if the lease may have ended."""
        if self.is_lapsed and self.session is not None and not self._has_lapsed:
            self._has_lapsed = self.session.paused = True
            # What the store has answered before it has gone back, perhaps, is void.
            self._proves_from = self.version + 1

    def _renew(self) -> None:
        store, now = self._store, self.world.now
        if store.is_paused:
            return
        if store.run != self._run or (not self.is_lapsed and not store.is_alive(self.name)):
            if store.run == self._run:
                store.born = (store.run, now)  # it has lost the lease
            self._run = store.run
            self._must_touch = True
            self.look_at_lease()
            # Another may have had the session, of which nothing is left.
            self._must_heal = self._must_heal or self._has_lapsed
        self._note_loss()
        self.look_at_lease()
        self._renewed_at = now
        store.leases[self.name] = now + LEASE

    # Writes

    def _write_next(self) -> None:
        session, now = self.session, self.world.now
        if self._write is not None:
            if now >= self._sent_at + FLIGHT:
                self._connect_anew()
                self._send(self._write)
            return
        if session is None:
            if self._is_releasing and self._claim is None:
                self.kill()
            return
        change = self._change(session)
        if change is not None:
            self.version += 1
            if isinstance(change, Heal):
                image = replace(
                    change.image, home=self.name, fence=self._image.fence, version=self.version
                )
                change = Heal(image, change.idle)
            self._write = Write(self.name, self._image.fence, self.version, change)
            self._send(self._write)

    def _send(self, write: Write) -> None:
        self._sent_at = self.world.now
        self._connection.commands.append(write)

    def _change(self, session: ServerSession) -> Change | None:
        touch = Touch(0, self._run)
        if self._has_lapsed and (self._store.in_grace or self._store.is_paused):
            return None  # first the homes that have not lapsed write what they have
        if session.ending is not None and not self._must_heal:
            return End(encode_tombstone(session.tombstone()))
        if self._must_heal:
            if self._has_lapsed:
                session.diverge()
            return Heal(replace(session.image(self._image), run=self._run), idle=0)
        if self._has_lapsed or self._must_touch or self.world.now >= self._touched_at + TOUCH:
            self._must_touch, self._touched_at = False, self.world.now
            return session.step(touch=touch)
        if session.has_step:
            return session.step()
        handler = self.handler
        if handler is not None and handler.must_flush and session.has_partial:
            handler.must_flush = False
            return session.step(force=True)
        if self._is_releasing and (handler is None or not handler.hand):
            return Release()
        return None

    def _answered(self, command: Command, answer: Answer) -> None:
        self._answers.append((command, answer))

    def _take_answer(self, command: Command, answer: Answer) -> None:
        if isinstance(command, Claim):
            self._claimed(command, answer)
        elif command is self._write:
            self._write = None
            if isinstance(answer, Image):
                self._stored(command)
            else:
                assert isinstance(answer, Refusal)
                self._refused(command, answer)

    def _stored(self, write: Write) -> None:
        session = self.session
        assert session is not None
        if self._has_lapsed and write.version < self._proves_from:
            self._must_heal = True
            return
        match write.change:
            case Step() as step:
                session.stored(step)
                self._proven(session)
            case Heal(image):
                session.healed(image)
                self._must_heal = False
                self._proven(session)
            case End():
                session.show_end()
            case Release():
                self._flush()
                self.kill()
        if session.end_shown:
            for connection, reset in self._told:
                self._refuse(connection, reset)
            self._flush()
            self._lose()

    def _proven(self, session: ServerSession) -> None:
        if not self.is_lapsed:
            self._has_lapsed = session.paused = False
            self.world.proven(self)

    def _refused(self, write: Write, refusal: Refusal) -> None:
        match refusal:
            case Refusal.GONE | Refusal.BEHIND if isinstance(write.change, Release):
                self.kill()
            case Refusal.GONE | Refusal.BEHIND:
                self._must_heal = True
            case Refusal.FENCED | Refusal.ENDED:
                self._lose()

    def _lose(self) -> None:
        """Forget the session: another process has it."""
        self.session = self.handler = None
        self._has_lapsed = self._must_heal = self._must_touch = False
        self._told.clear()
        for connection in self._links:
            connection.has_ended = True
        self._links.clear()

    # Opens

    def hold(self, image: Image, session: ServerSession) -> None:
        """Become the home of a session."""
        self._image, self.session, self.version = image, session, image.version
        self.fence, self.handler = image.fence, Handler(self, session, image)
        self._must_heal = self._must_touch = False

    def open(self, connection: Connection, frame: Open) -> None:
        """Answer the ``open`` of a connection, or let it wait for a claim."""
        store = self._store
        connection.process = self
        if self.session is not None:
            if self._has_lapsed or self.is_lapsed:
                connection.has_ended = True  # `unavailable`
            else:
                self._resume(connection, frame, self.session)
            return
        if self._claim is not None:
            self._waiting.append((connection, frame))
            return
        image, in_grace = store.image, store.in_grace
        if store.is_paused or self.is_lapsed or self._is_releasing:
            connection.has_ended = True
        elif image is None:
            if in_grace:
                self._note_loss()
                connection.has_ended = True
            else:
                self.world.check_may_forget()
                self._refuse(connection, reset_without_marks(ResetReason.UNKNOWN))
        elif image.tombstone:
            self._refuse(connection, decode_tombstone(image.tombstone).answer(frame))
        else:
            home = self.world.processes.get(image.home)
            if home is not None and home is not self and store.is_alive(image.home):
                if home.session is None and home.is_running:
                    self._begin_claim(connection, frame, image)
                elif home.is_running:
                    home.open(connection, frame)
                else:
                    connection.has_ended = True
            elif in_grace:
                self._note_loss()
                connection.has_ended = True
            else:
                self._begin_claim(connection, frame, image)

    def _note_loss(self) -> None:
        """Begin the grace, if nobody has, of a store that was lost or replaced."""
        if self._store.born is None or self._store.born[0] != self._store.run:
            self._store.born = (self._store.run, self.world.now)

    def _begin_claim(self, connection: Connection, frame: Open, image: Image) -> None:
        self._waiting.append((connection, frame))
        self._claim = Claim(image.home, image.fence, self.name, "", "", 0)
        self._claimed_at = self.world.now
        self._connection.commands.append(self._claim)

    def _give_claim_up(self) -> None:
        """Give up a claim that is not answered: the page comes again."""
        self._claim = None
        self._connect_anew()
        for connection, _ in self._waiting:
            connection.has_ended = True
        self._waiting.clear()

    def _connect_anew(self) -> None:
        self._store.drop(self._connection)
        self._connection = self._store.connect(self._answered)

    def _claimed(self, claim: Claim, answer: Answer) -> None:
        if claim is not self._claim:
            return
        self._claim = None
        waiting, self._waiting = self._waiting, []
        if isinstance(answer, Image):
            session = ServerSession.restore(
                "s1", self.world.limits, answer, self.world.now, trial=claim.home != ""
            )
            self.hold(answer, session)
            self.world.claimed(self, answer, session)
        for connection, frame in waiting:
            if self.session is not None and not connection.has_ended:
                self.open(connection, frame)
            else:
                connection.has_ended = True

    def _resume(self, connection: Connection, frame: Open, session: ServerSession) -> None:
        epoch = self._image.epoch
        match opening.resume(frame, Found(session), epoch=epoch):
            case Attach():
                self.accept(connection, frame, session)
            case FinalAnswer(frames):
                self._refuse(connection, *frames)
            case Replace(_, reset):
                self.world.check_may_reset(reset.reason)
                session.reset(reset.reason)
                self._told.append((connection, reset))
            case Begin(reset):
                assert reset is not None
                self._refuse(connection, reset)
            case Refuse():
                connection.has_ended = True

    def accept(
        self, connection: Connection, frame: Open, session: ServerSession, token: str | None = None
    ) -> None:
        """Attach a connection to the session."""
        connection.attachment = opening.attach(
            session,
            frame,
            connection.link.transport,
            self.world.now,
            epoch=self._image.epoch,
            token=token,
        )
        self._links.append(connection)

    def _refuse(self, connection: Connection, *frames: ServerControl) -> None:
        connection.down.extend(map(encode_control, frames))
        connection.has_ended = True

    # Connections

    def _receive(self, connection: Connection, encoded: str | bytes) -> None:
        session, attachment = self.session, connection.attachment
        frame = self._decoder.decode(encoded)
        if isinstance(frame, Open):
            self.open(connection, frame)
        elif session is not None and attachment is not None and connection in self._links:
            try:
                session.reply(attachment, session.receive(attachment, frame, self.world.now))
            except ProtocolError as error:
                session.fail(attachment, error)

    def _flush(self) -> None:
        """Write what is due on every connection."""
        session = self.session
        if session is None:
            return
        for connection in list(self._links):
            attachment = connection.attachment
            assert attachment is not None
            if connection.is_cut and not self.world.is_cut_unnoticed(connection):
                session.attachments.detach(attachment)
                self._links.remove(connection)
                continue
            if session.downlink.is_due(attachment, self.world.now):
                frames = session.downlink.transmit(attachment, self.world.now)
                self.world.check_shown(frames)
                self.world.check_numbers(connection)
                connection.down.extend(frames)
            if attachment.code is not None:
                connection.has_ended = True
                self._links.remove(connection)

    # What its application does

    @property
    def active_handler(self) -> Handler | None:
        """The handler, if the process runs and is the home."""
        return self.handler if self.is_running else None

    def reset(self) -> None:
        """Let the server end the session."""
        session = self.session
        if session is not None and self.is_running and session.ending is None:
            session.reset(ResetReason.SHUTDOWN)
