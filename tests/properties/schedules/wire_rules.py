"""`WireRules`: what each side may write, checked at every frame.

- No mark is above what its sender has received, or has finished with (MRK-1 to MRK-3).
- Only the newest attach carries what a client sends (ATT-3), and the server keeps no attach that is
  older than a confirmed one (ATT-3, ATT-4, ATT-7).
- A client that another has superseded ends (ATT-5).
- A resume brings what the other side does not have, in order, and nothing else (RES-1). A number
  has the same message each time (NUM-2).
- The newest poll is not ended for an older one (POL-2).
- Neither side finds fault with the frames of the other.
"""

from __future__ import annotations

import json
from typing import Any

from tests.properties.schedules.model import FAULTS, Model
from tests.properties.schedules.state import (
    ClientConnection,
    ClientState,
    HandlerRecord,
    frame_type,
)
from tests.unit.protocol.directory import Directory
from transport.protocol.client.events import FrameReceived, Input
from transport.protocol.server.session import ServerSession
from transport.protocol.states import AttachmentState


class WireRules:
    """What was written so far, and what may be written next.

    Args:
        model: what the handlers did.
        directory: the server's sessions.
    """

    def __init__(self, model: Model, directory: Directory) -> None:
        self._model = model
        self._directory = directory
        self._opens: dict[str, Any] = {}
        """The ``open`` of each connection, by name."""
        self._session_ids: dict[str, str] = {}
        """The session of each connection that was opened, by name."""
        self._confirmed: set[tuple[str, int]] = set()
        """The attaches, by client and number, on which the client has written after ``open``."""
        self._newest_polls: dict[tuple[str, int], tuple[int, str]] = {}
        """The newest poll that has arrived of each attach: its number and its name."""
        self._brought: dict[tuple[str, int], int] = {}
        """The last message that the answer to a POST brought, of each attach."""

    def find_session(self, frame: Any) -> ServerSession | None:
        """Return the session that a request names."""
        return self._directory.peek(frame.get("session", ""))

    # The server

    def open_arrives(self, name: str, frame: Any) -> None:
        """Record the ``open`` of a connection."""
        self._opens[name] = frame

    def poll_arrives(self, name: str, frame: Any) -> None:
        """Record a poll, under the name that its answer will have."""
        attach = (frame["client"], frame["attach"])
        if frame["poll"] >= self._newest_polls.get(attach, (0, ""))[0]:
            self._newest_polls[attach] = (frame["poll"], name)

    def attach_confirmed(self, session: ServerSession, attach: int) -> None:
        """Record that the server has seen an attach confirmed."""
        record = self._model.handler(session.id)
        record.confirmed = max(record.confirmed, attach)

    def check_attachments(self, sessions: list[ServerSession]) -> None:
        """Check that one attach has a session, and that older ones have ended (ATT-3, ATT-4)."""
        for session in sessions:
            confirmed = self._model.handler(session.id).confirmed
            for one in session.attachments.live:
                least = confirmed + (one.state is AttachmentState.PROVISIONAL)
                assert one.number >= least, "ATT-4: an attach that is superseded has not ended"

    def check_server_frames(
        self, name: str, connection: ClientConnection | None, poll: Any, frames: list[Any]
    ) -> None:
        """Check what the server writes.

        Args:
            name: of the connection, or of the poll.
            connection: the client's end of it, if there is one.
            poll: the ``poll`` frame that this answers, if it does.
            frames: in the form of a vector.
        """
        held, attach = None, ("", 0)
        if poll is not None:
            held, attach = poll["ack"], (poll["client"], poll["attach"])
            newest = self._newest_polls[attach]
            assert frames or newest[1] != name, "POL-2: the newest poll is ended"
        for frame in frames:
            kind = frame_type(frame)
            if kind == "opened":
                self._session_ids[name] = frame["id"]
                if connection is not None:
                    is_resumed = frame["verdict"] == "resumed"
                    connection.last_written = self._opens[name]["received"] if is_resumed else 0
                    connection.server_received = frame["received"]
            session_id = self._session_id(name, poll)
            self.check_server_frame(frame, self._model.handler(session_id))
            if kind == "data":
                seq, _, *messages = frame
                last = seq + len(messages) - 1
                assert messages == [f"{session_id}:{one}" for one in range(seq, last + 1)]
                if poll is None and connection is not None:
                    held, connection.last_written = connection.last_written, last
                if held is not None and seq != held + 1:
                    _, session = self._directory.sessions[session_id]
                    assert seq > held, "RES-1: written though the client has it"
                    known = max(session.outgoing.acked, self._brought.get(attach, 0))
                    assert known >= seq - 1, "NUM-4: a gap"
                held = last

    def check_data_of_post(self, session: ServerSession, header: Any, frames: list[Any]) -> None:
        """Check the data that the answer to a POST brings (POL-4)."""
        next_number = session.outgoing.acked + 1
        for frame in [frame for frame in frames if frame_type(frame) == "data"]:
            assert header["ack"] < next_number, "POL-4: not above the mark that the client named"
            seq, _, *messages = frame
            assert seq == next_number, "POL-4: it does not begin above the mark"
            next_number += len(messages)
            assert messages == [f"{session.id}:{one}" for one in range(seq, next_number)]
            self._brought[header["client"], header["attach"]] = next_number - 1

    def _session_id(self, name: str, poll: Any) -> str:
        """Return the id of the session that writes; empty if it is not known."""
        request = poll if poll is not None else {}
        begun = ""
        if name not in self._session_ids and poll is None:  # a `close` instead of `opened`
            request = self._opens[name]
            key = ("", f"{request['client']} {request['nonce']}")
            begun, _ = self._directory.nonces.get(key, ("", 0.0))
        session = self.find_session(request)
        return session.id if session is not None else self._session_ids.get(name, begun)

    def check_server_frame(self, frame: Any, record: HandlerRecord) -> None:
        """Check one frame: its mark (MRK-3), and that it is no error that the client caused."""
        handled = record.finished + len(record.skipped)
        kind = frame_type(frame)
        if kind == "data":
            assert frame[1] <= handled, "MRK-3: not handled yet"
            return
        mark = frame.get("ack", frame.get("handled"))
        if kind in ("ack", "opened") or (kind == "close" and mark):
            assert mark <= handled, "MRK-3: not handled yet"
        if kind == "error":
            assert frame["code"] not in FAULTS, frame
            if frame["code"] == "superseded" and frame.get("attach", 1) > 1:
                attach = (frame["client"], frame["attach"])
                assert attach in self._confirmed, "ATT-3: superseded by an unconfirmed attach"

    # The client

    def check_client_frames(
        self, client: ClientState, connection: ClientConnection, frames: list[Any]
    ) -> None:
        """Check what a client writes after its ``open``.

        Data goes on the newest attach only (ATT-3), from the server's mark on (RES-1), with the
        same number for the same message (NUM-2). Marks are of what the client has (MRK-3).
        """
        attach = connection.link.attach
        for frame in frames:
            kind = frame_type(frame)
            if not connection.is_confirmed and kind in ("ack", "send", "poll"):
                connection.is_confirmed = True
                client.confirmed = max(client.confirmed, attach)
                self._confirmed.add((client.name, attach))
            ack = frame[1] if kind == "data" else frame.get("ack", 0)
            assert ack <= client.received, "MRK-3: not received yet"
            if kind == "skip":
                self._model.handler(client.session).skipped.add(frame["number"])
            if kind not in ("data", "skip"):
                continue
            assert connection.is_confirmed, "ATT-3: data before the attach is confirmed"
            assert attach == client.confirmed, "ATT-3: data on an older attach"
            seq = frame[0] if kind == "data" else frame["number"]
            if connection.server_received is not None:
                mark, connection.server_received = connection.server_received, None
                acked = client.core.marks.acked
                # It has moved back since, if the server has refused what it had (DAT-7).
                moved = seq <= mark and self._model.handler(client.session).has_waited
                assert seq == mark + 1 or mark < seq <= acked + 1 or moved, "RES-1: not from mark"
            if kind == "data":
                for number, message in enumerate(frame[2:], seq):
                    known = client.written.setdefault((client.session, number), message)
                    assert known == message, "NUM-2: another message under the same number"

    def check_repetition(
        self, client: ClientState, connection: ClientConnection, frames: list[Any]
    ) -> None:
        """Check what a client writes that repeats everything from the server's ack on."""
        connection.server_received = None
        self.check_client_frames(client, connection, frames)

    def record_last_output(self, client: ClientState, attach: int) -> None:
        """Record what a client writes when its session is over: a POST confirms its attach."""
        self._confirmed.add((client.name, attach))

    def must_end(self, client: ClientState, report: Input) -> bool:
        """Return whether an input tells a client that another has superseded it (ATT-5)."""
        return 0 < client.confirmed < _superseding_attach(client, report)


def _superseding_attach(client: ClientState, report: Input) -> int:
    """Return the attach by which, as an input says, another client has the session, or 0."""
    text = str(report.frame) if isinstance(report, FrameReceived) else getattr(report, "text", "")
    if not text or '"superseded"' not in text:
        return 0
    frame = json.loads(text.split("\n")[0])
    if frame.__class__ is not dict or frame.get("client") in (None, client.name):
        return 0
    return int(frame["attach"])
