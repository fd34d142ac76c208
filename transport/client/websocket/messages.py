"""Messages as ``websockets`` takes and returns them: str, bytes, and iterables of fragments."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import TypeAlias

from transport.protocol.frames import Json

Data: TypeAlias = str | bytes
DataLike: TypeAlias = str | bytes | bytearray | memoryview
Sendable: TypeAlias = DataLike | Iterable[DataLike] | AsyncIterable[DataLike]

BYTES_LIKE = (bytes, bytearray, memoryview)


async def join_fragments(message: Sendable) -> DataLike | None:
    """Return a message as a whole; None if it is an iterable without fragments.

    Raises:
        TypeError: it, or one of its fragments, is neither str nor bytes-like, or they are mixed.
    """
    if isinstance(message, (str, *BYTES_LIKE)):
        return message
    if isinstance(message, Mapping):
        raise TypeError("data is a dict-like object")
    if isinstance(message, Iterable):
        fragments = list(message)
    elif isinstance(message, AsyncIterable):
        fragments = [fragment async for fragment in message]
    else:
        raise TypeError("data must be str, bytes, iterable, or async iterable")
    if not fragments:
        return None
    texts = [one for one in fragments if isinstance(one, str)]
    if len(texts) == len(fragments):
        return "".join(texts)
    blocks = [one for one in fragments if isinstance(one, BYTES_LIKE)]
    if len(blocks) == len(fragments):
        return b"".join(blocks)
    if not texts and not blocks:
        raise TypeError("iterable must contain bytes or str")
    raise TypeError("iterable must contain uniform types")


def outgoing(data: DataLike, text: bool | None) -> Data:
    """Return what to send for ``data``, as text or bytes if ``text`` says so.

    Raises:
        UnicodeDecodeError: bytes that are to be sent as text are not UTF-8.
    """
    if isinstance(data, str):
        return data.encode() if text is False else data
    return bytes(data).decode() if text is True else bytes(data)


def incoming(message: Json, decode: bool | None) -> Data:
    """Return what `recv` returns for ``message``: JSON of another type, which a hub sends, as text.

    Raises:
        UnicodeDecodeError: bytes that are to be decoded are not UTF-8.
    """
    if not isinstance(message, (str, bytes)):
        message = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    data: Data = message
    if isinstance(data, str):
        return data.encode() if decode is False else data
    return data.decode() if decode is True else data


def exceeds(data: Data, limit: int) -> bool:
    """Return whether ``data`` has more than ``limit`` bytes, as UTF-8 if it is text."""
    if isinstance(data, bytes) or len(data) > limit:
        return len(data) > limit
    return len(data) * 4 > limit and len(data.encode()) > limit
