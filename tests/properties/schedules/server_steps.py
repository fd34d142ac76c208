"""`ServerSteps`: what the server and its handlers do in a schedule."""

from __future__ import annotations

from tests.properties.schedules.network import Network
from transport.errors import ChannelClosed
from transport.limits import Limits
from transport.protocol.codec import encode_message
from transport.protocol.frames import ResetReason
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.session import ServerSession
from transport.protocol.states import SessionState


class ServerSteps:
    """Handlers, one for each session, and the server's process.

    Args:
        network: on which the server is.
        limits: of the server.
    """

    def __init__(self, network: Network, limits: Limits) -> None:
        self._network = network
        self._limits = limits

    def handler_takes(self, pick: int, count: int) -> None:
        """Take messages."""
        if sessions := self._network.open_sessions:
            session = sessions[pick % len(sessions)]
            for _ in range(count):
                if not self.take(session):
                    break
            self._network.serve({"tick": True})

    def take(self, session: ServerSession) -> bool:
        """Take a message. Return whether there was one.

        The handler returns when its iteration ends.
        """
        model = self._network.model
        model.finish(model.handler(session.id))
        session.start_reading()
        try:
            message = session.receive_nowait()
        except ChannelClosed:
            self._close(session, failed=False)
            return False
        if message is EMPTY:
            return False
        assert isinstance(message, str)
        model.take(session, message)
        return True

    def handler_sends(self, pick: int, count: int) -> None:
        """Send messages, as long as the window has room."""
        if sessions := self._network.open_sessions:
            session = sessions[pick % len(sessions)]
            record = self._network.model.handler(session.id)
            for _ in range(count):
                if session.outgoing.has_room(20):
                    record.sent += 1
                    session.send(encode_message(f"{session.id}:{record.sent}", self._limits))
            self._network.serve({"tick": True})

    def handler_waits(self, pick: int) -> None:
        """Let a handler wait for the end, so that nobody receives (DAT-7)."""
        sessions = self._network.open_sessions
        if pick < 6 and sessions:
            session = sessions[pick % len(sessions)]
            if session.state is SessionState.OPEN:
                record = self._network.model.handler(session.id)
                record.has_waited = True
                self._network.model.finish(record)
                session.stop_reading()
                self._network.serve({"tick": True})

    def handler_ends(self, pick: int, failed: int) -> None:
        """Let a handler return or fail, perhaps so that a new session follows (CLS-8); seldom."""
        sessions = self._network.open_sessions
        if pick < 1 and sessions:
            self._close(sessions[0], failed=bool(failed), reopens=failed == 2)
            self._network.serve({"tick": True})

    def server_resets(self, pick: int) -> None:
        """Reset a session; seldom."""
        sessions = self._network.open_sessions
        if pick < 1 and sessions:
            sessions[0].reset(ResetReason.OVERFLOW)
            self._network.serve({"tick": True})

    def server_drains(self, pick: int) -> None:
        """Ask the clients of a session to come back soon (DRN-1); seldom."""
        sessions = self._network.open_sessions
        if pick < 1 and sessions:
            sessions[0].drain(1.0)
            self._network.serve({"tick": True})

    def server_restarts(self, pick: int) -> None:
        """Restart the process, which loses what it knew (EPO-1); seldom."""
        if pick < 1:
            self._network.restart()

    def _close(self, session: ServerSession, *, failed: bool, reopens: bool = False) -> None:
        """Close a session as its handler returns or fails."""
        model, now = self._network.model, self._network.now
        record = model.handler(session.id)
        record.closed_at = now
        if failed:
            retry_in = 1.0 if reopens else None
            session.close(1011, "", "protocol", now, failed=True, retry_in=retry_in)
        else:
            model.finish(record)
            session.close(1000, "", "app", now)
