"""`EdgeLink`: a client's connection here, to a session of another process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import json, structs

from transport import codes
from transport.bus.interface import Pipe
from transport.bus.items import End, Frames, Lost
from transport.codes import Code
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import Drain, EncodedFrame, Opened, Renew, error_frame
from transport.server.relay.flow import Flow
from transport.server.relay.messages import code_named
from transport.server.renewals import Renewals, Renewer
from transport.waiting import resolve

_read_opened = json.Decoder(Opened).decode

_OVERHEAD = 40
"""Bytes of a data frame besides its messages: two numbers below 2^53, brackets and commas."""


def most_waiting(limits: Limits) -> int:
    """Return how many bytes of one connection may wait for its home.

    A client that keeps to its window never sends more: it may send all of it again.
    """
    return 2 * (limits.window_bytes + limits.window_messages * _OVERHEAD) + limits.body


class EdgeLink:
    """Implements `Link`: passes frames on to the home, and writes those that it sends.

    Args:
        pipe: to the home.
        number: names this link on the pipe.
        limit: bytes of frames that may wait for the home, see `most_waiting`.
        decoder: reads control frames: a ``renew`` is not passed on.
        renewer: takes fresh credentials (REN-1).
        on_end: called once nothing more is passed on.
        token: of a session that begins: the home does not know it, so ``opened`` gets it here.
    """

    def __init__(
        self,
        pipe: Pipe,
        number: int,
        limit: int,
        decoder: Decoder,
        renewer: Renewer,
        on_end: Callable[[EdgeLink], None],
        token: str | None = None,
    ) -> None:
        self.pipe = pipe
        self.number = number
        self.abort: Callable[[], None] | None = None
        self.code: Code | None = None
        self.close_code = codes.NORMAL.close_code
        self._limit = limit
        self._decoder = decoder
        self._renewals = Renewals(renewer)
        self._on_end = on_end
        self._flow = Flow(pipe, number)
        self._downlink: list[EncodedFrame] = []
        self._untaken = 0
        """Items whose frames the writer has not taken yet."""
        self._waiter: asyncio.Future[None] | None = None
        self._token = token
        self._is_linked = True
        """Whether the home has the other end."""

    # The writer

    def write(self) -> list[EncodedFrame]:
        """See `Link.write`. What it returned before has been written."""
        frames, self._downlink = self._downlink, []
        while self._untaken:
            self._untaken -= 1
            self._flow.took()
        return frames

    def due(self) -> asyncio.Future[None] | None:
        """See `Link.due`."""
        if self._downlink or self.code is not None:
            return None
        self._waiter = asyncio.get_running_loop().create_future()
        return self._waiter

    def write_poll(self) -> list[EncodedFrame]:
        """See `Link.write_poll`. The connection of a long poll ends with its answer."""
        frames = self.write()
        self._leave()
        return frames

    def _wake(self) -> None:
        if self._waiter is not None:
            resolve(self._waiter)

    # The reader

    def receive(self, encoded: EncodedFrame) -> None:
        """See `Link.receive`."""
        if self.code is not None:
            return
        if type(encoded) is str and not encoded.startswith("["):
            frame = self._decoder.decode(encoded)
            if type(frame) is Renew:
                self._renewals.receive(frame.credentials, self.fail)
                return
        self._flow.add(encoded)
        if self._flow.waiting > self._limit:
            raise ProtocolError(
                codes.WINDOW_EXCEEDED,
                "more was sent than the window allows, before the server could take it",
            )

    def fail(self, error: ProtocolError) -> None:
        """See `Link.fail`."""
        if self.code is None:
            self._downlink.append(encode_control(error_frame(error)))
            self._end(error.code, error.code.close_code)
            self._leave()

    def lost(self) -> None:
        """See `Link.lost`."""
        self._renewals.cancel()
        self._leave()
        self._end(codes.NOT_ATTACHED, codes.NOT_ATTACHED.close_code)  # the writer may still wait

    def _leave(self) -> None:
        """Tell the home that the connection is gone, after what came on it. Idempotent."""
        if self._is_linked:
            self._is_linked = False
            self._flow.flush()
            self.pipe.send(Lost(self.number))
            self._on_end(self)

    # The home

    def frames(self, item: Frames) -> None:
        """Take frames to write."""
        self._untaken += 1
        if item.taken:
            self.ready(item.taken)
        self.take(item.frames)

    def take(self, frames: list[EncodedFrame]) -> None:
        """Take frames to write that came with the answer to the ``open``."""
        if frames and self._token is not None:
            frames[0] = encode_control(with_token(_read_opened(frames[0]), self._token))
            self._token = None
        self._downlink += frames
        self._wake()

    def ready(self, count: int) -> None:
        """Learn that the home has taken that many items."""
        self._flow.ready(count)

    def end(self, item: End) -> None:
        """End the connection, as the session has decided."""
        self._is_linked = False
        self._on_end(self)
        self._end(code_named(item.code), item.close_code)
        if item.abort and self.abort is not None:
            self.abort()

    def cut(self) -> None:
        """End the connection: the home is gone, or the pipe to it. The client resumes."""
        self._is_linked = False
        self._end(codes.RESTART, codes.RESTART.close_code)
        if self.abort is not None:
            self.abort()

    def drain(self, retry_in: float) -> None:
        """Tell the client to resume elsewhere: this process stops (DRN-1)."""
        if self.code is None:
            self._downlink.append(encode_control(Drain(retry_in=retry_in)))
            self._end(codes.RESTART, codes.RESTART.close_code)
            self._leave()

    def _end(self, code: Code, close_code: int) -> None:
        if self.code is None:
            self.code, self.close_code = code, close_code
        self._wake()


def with_token(opened: Opened, token: str) -> Opened:
    """Return an ``opened`` with the token of its session."""
    return structs.replace(opened, session=token)
