"""`UnixPipe`: a pipe on a stream socket: a length of 4 bytes before each item."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Protocol, cast

from transport.bus import forks
from transport.bus.items import Hello, Item, encode_item
from transport.bus.reader import ItemReader, ReaderOwner
from transport.bus.unread import Unread
from transport.telemetry.log import WARNING, log_event

MAX_ITEM = 2**26
"""Bytes of the largest item that is accepted; a longer one is a defect of its sender."""

_LENGTH = 4


class Owner(ReaderOwner["UnixPipe"], Protocol):
    """The bus that a pipe belongs to."""

    def ended(self, pipe: UnixPipe) -> None:
        """See `Receiver.ended`."""
        ...


class UnixPipe(asyncio.Protocol):
    """One end of a pipe. Implements `Pipe`.

    Args:
        owner: told of the items and the end.
        hello: the first item that it sends.
        one: its socket.
        peer: the name of the other process if this one has opened the pipe.

    Attributes:
        is_greeted: whether the other side has said its name.
        over: set when it has ended.
    """

    def __init__(self, owner: Owner, hello: Hello, one: socket.socket, peer: str = "") -> None:
        self.peer = peer
        self.is_open = False
        self.is_own = bool(peer)
        self.over = asyncio.Event()
        self._owner = owner
        self._hello = hello
        self._socket = one
        forks.close_in_child(one)
        self.is_greeted = False
        self._is_ended = False
        self._reader = ItemReader(owner, self)
        self._sent = 0
        """Bytes, those that still wait included."""
        self._waits = Unread(asyncio.get_running_loop().time)
        self._unread = bytearray()
        self._transport: asyncio.Transport | None = None

    async def connect(self, path: str) -> None:
        """Open the pipe to the process that listens at a path.

        Raises:
            ConnectionRefusedError, FileNotFoundError: none does.
            OSError: it cannot be opened now.
        """
        loop = asyncio.get_running_loop()
        try:
            self._socket.setblocking(False)
            self._socket.connect(path)  # at once, or not at all
            await loop.create_unix_connection(lambda: self, sock=self._socket)
        except BaseException:
            self._socket.close()
            raise

    async def begin(self) -> None:
        """Open a pipe whose connection was accepted."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: self, self._socket)
        except OSError as error:  # its other end was closed meanwhile
            self._socket.close()
            self.connection_lost(error)

    # `Pipe`

    def send(self, item: Item) -> None:
        """See `Pipe.send`."""
        transport = self._transport
        if not self.is_open or transport is None or transport.is_closing():
            return  # asyncio would log each write after the other side is gone
        data = encode_item(item)
        transport.write(len(data).to_bytes(_LENGTH, "big") + data)
        self._sent += _LENGTH + len(data)
        unread = transport.get_write_buffer_size()
        if self._waits.is_stuck(unread, self._sent - unread):
            log_event(
                WARNING,
                "pipe_ended",
                "another worker of this server reads nothing, so the connections it relays are cut",
                peer=self.peer,
            )
            self.end()

    def end(self) -> None:
        """See `Pipe.end`."""
        self.is_open = False
        self._is_ended = True
        if self._transport is not None:
            self._transport.abort()

    def leave(self) -> None:
        """Send nothing more, and ignore what comes: the other side ends the pipe when it has read.

        To end it here, even once everything is written, could lose that: if the other side then
        wrote, it would see an error before it had read to the end.
        """
        if self.is_open and self._transport is not None:
            self._transport.write_eof()
        self.is_open = False
        self._is_ended = True

    def close(self) -> None:
        """End the pipe once what was sent on it has been written."""
        self.is_open = False
        self._is_ended = True
        if self._transport is not None:
            self._transport.close()

    def abandon(self) -> None:
        """End the pipe when its event loop is closed, and so its transport can do nothing."""
        self.is_open = False
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    # `asyncio.Protocol`

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send ``hello``."""
        self._transport = cast("asyncio.Transport", transport)
        if self._is_ended:  # before it was connected
            self._transport.abort()
            return
        self.is_open = True
        self.send(self._hello)

    def data_received(self, data: bytes) -> None:
        """Read the items that are whole."""
        unread = self._unread
        unread += data
        begin = 0
        while len(unread) - begin >= _LENGTH:
            if not self.is_open:
                unread.clear()
                return
            length = int.from_bytes(unread[begin : begin + _LENGTH], "big")
            end = begin + _LENGTH + length
            if length > MAX_ITEM:
                self._reader.fail(ValueError(f"an item of {length} bytes"))
                self.end()
                return
            if len(unread) < end:
                break
            if not self._reader.read(memoryview(unread)[begin + _LENGTH : end].tobytes()):
                self.end()
                return
            begin = end
        del unread[:begin]

    def eof_received(self) -> None:
        """Let the transport close itself."""

    def connection_lost(self, error: Exception | None) -> None:
        """Tell of the end."""
        self.is_open = False
        self.over.set()
        self._owner.ended(self)
