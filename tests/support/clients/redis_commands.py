"""A blocking connection to Redis, for tests of commands and scripts.

with RedisCommands(server.port) as redis:
    redis.call("SET", "key", "value")
    answers = redis.send([packed, packed])
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from types import TracebackType

import hiredis

from transport.stores.redis.commands import pack
from transport.stores.redis.records import Value

_ANSWERS_WITHIN = 60.0


class RedisCommands:
    """A connection that sends packed commands. Use it in ``with``.

    Args:
        port: of the server, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _ANSWERS_WITHIN)
        self._reader = hiredis.Reader()

    def __enter__(self) -> RedisCommands:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, commands: Iterable[bytes]) -> list[object]:
        """Send commands together and return their answers, errors among them."""
        sent = list(commands)
        self._socket.sendall(b"".join(sent))
        return [self._read() for _ in sent]

    def call(self, *arguments: Value) -> object:
        """Send a command and return its answer.

        Raises:
            hiredis.ReplyError: the answer is an error.
        """
        [answer] = self.send([pack(*arguments)])
        if isinstance(answer, hiredis.ReplyError):
            raise answer
        return answer

    def leave(self, part: bytes) -> None:
        """Send a part of a command and end the connection."""
        self._socket.sendall(part)
        self._socket.close()

    def _read(self) -> object:
        while (answer := self._reader.gets()) is False:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("Redis has ended the connection")
            self._reader.feed(data)
        return answer
