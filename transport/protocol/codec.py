"""Encode and decode frames (PROTOCOL.md section 2).

The JSON codec is msgspec's: fast and strict (no NaN, no control bytes, no lone surrogates, no
trailing text). Encoding would convert some values silently (sets, dates, NaN, keys that are not
strings), so `transport.protocol.plain` refuses or converts these first (DAT-3).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, get_args

import msgspec

from transport import codes
from transport.errors import ProtocolError, TooLarge, Unsendable
from transport.limits import Bounds
from transport.protocol import json_bounds
from transport.protocol.field_errors import field_error
from transport.protocol.frames import (
    MAX_NUMBER,
    NOTHING,
    Bytes,
    ClientControl,
    Data,
    EncodedFrame,
    Json,
    Numbered,
    ServerControl,
)
from transport.protocol.plain import Encoder, NotPlain, check_plain, make_plain

Payload = str | bytes
"""An encoded message: a str is its JSON, bytes are the message itself."""

_decode = msgspec.json.Decoder().decode
decode_message = _decode
_encode = msgspec.json.Encoder().encode
_raw_items = msgspec.json.Decoder(list[msgspec.Raw]).decode

_HEADER = 16
"""The size of a binary frame's number and ack: 8 bytes each, big-endian (DAT-2)."""


# Messages


def encode_message(message: Json, limits: Bounds, encoder: Encoder | None = None) -> Payload:
    """Encode a message.

    Args:
        message: str, bytes (bytearray, memoryview), or a JSON value.
        limits: for ``message`` (bytes) and ``depth``.
        encoder: called for a value that JSON cannot represent; None refuses it.

    Raises:
        Unsendable: it has a value that JSON cannot represent faithfully (DAT-3).
        TooLarge: it is larger than ``limits.message``.
    """
    return encode_sized(message, limits, encoder)[0]


def encode_sized(
    message: Json, limits: Bounds, encoder: Encoder | None = None
) -> tuple[Payload, int]:
    """Encode a message as `encode_message` does; return it with its `size_of`."""
    payload: Payload
    text = type(message) is str
    if not text and isinstance(message, (bytes, bytearray, memoryview)):
        payload = encoded = bytes(message)
    else:
        if not text:
            try:
                check_plain(message, limits.depth)
            except NotPlain:
                message = make_plain(message, limits.depth, encoder)
        try:
            encoded = _encode(message)
        except UnicodeEncodeError:
            raise Unsendable(
                "the message holds a lone surrogate, which UTF-8 cannot carry"
            ) from None
        payload = encoded.decode()
    size = len(encoded)
    if size > limits.message:
        raise TooLarge(size, limits.message)
    return payload, size


def size_of(payload: Payload) -> int:
    """Return the encoded size in bytes, as limits and windows count it (DAT-4)."""
    if type(payload) is str and not payload.isascii():
        return len(payload.encode())
    return len(payload)


def json_size(messages: list[Json]) -> int:
    """Return the approximate encoded size of messages that were decoded."""
    return len(_encode(messages)) - len(messages) - 1


def undecoded(messages: Sequence[Json], text: str) -> list[Json | msgspec.Raw]:
    """Return the last messages of a frame as they are kept until they are taken.

    As JSON they take the memory that limits count, as Python objects up to thirty times as much.
    `decode_message` makes these from each `msgspec.Raw`; messages of bytes are kept as they are.

    Args:
        messages: the messages, at least one.
        text: `Data.text` of their frame.
    """
    return list(_raw_items(text.encode())[-len(messages) :] if text else messages)


def object_size(text: bytes) -> int:
    """Return at most how many bytes of memory the Python objects of a JSON text take.

    It counts what needs most: lists, dicts, and the items behind a comma, each an object.
    """
    wide = not text.isascii() or b"\\u" in text  # up to four bytes for each character
    objects = 64 * text.count(b",") + 96 * text.count(b"[") + 192 * text.count(b"{")
    return (4 if wide else 1) * len(text) + objects


# Frames out


def encode_data(seq: int, ack: int, payloads: Iterable[str]) -> str:
    """Encode JSON messages as the frame ``[seq, ack, m1, ...]`` (DAT-1)."""
    return f"[{seq},{ack},{','.join(payloads)}]"


def encode_bytes(number: int, ack: int, payload: bytes, *, binary: bool) -> EncodedFrame:
    """Encode a message of bytes: as a binary frame, or as text with base64 (DAT-2)."""
    if binary:
        return number.to_bytes(8, "big") + ack.to_bytes(8, "big") + payload
    return encode_control(Bytes(number=number, ack=ack, data=payload))


def encode_control(frame: ClientControl | ServerControl) -> str:
    """Encode a control frame."""
    return _encode(frame).decode()


# Frames in


class Decoder:
    """Decodes the frames of one side, within limits.

    The most expensive text is one of empty arrays: 87,000 in ``limits.message`` take about 30 ms,
    half of it in Python's garbage collector. Only ``limits.body`` bounds that: a bound on arrays
    would refuse valid messages, for example a table of points.

    Args:
        limits: for ``body``, ``message``, ``batch`` and ``depth``.
        side: the union of control frames to expect: `ClientControl` or `ServerControl`.
    """

    __slots__ = ("_body", "_decode_control", "_decode_data", "_limits", "_nested", "_side")

    def __init__(self, limits: Bounds, side: Any = ClientControl) -> None:
        self._limits = limits
        self._side = side
        self._decode_control = _control_decoder(side).decode
        self._decode_data = json_bounds.data_decoder(limits.depth).decode
        self._body = limits.body
        self._nested = limits.depth + 1

    def decode(self, encoded: EncodedFrame) -> Any:
        """Decode one frame.

        Returns:
            A frame of the side's union, `Data`, or `Oversized` (DAT-4). A numbered frame of an
            unknown type is `Data` that delivers nothing (FRM-5).

        Raises:
            ProtocolError: ``bad_json``, ``bad_frame``, ``bad_number``, ``too_large``, ``too_many``.
        """
        if type(encoded) is not str:
            return self._binary(encoded)  # type: ignore[arg-type]
        text = encoded
        # FRM-2: JSON itself forbids these inside strings; we forbid them between tokens too.
        if "\n" in text or "\t" in text or "\r" in text:
            raise ProtocolError(codes.BAD_JSON, "a frame holds no byte below 0x20")
        size = len(text) if text.isascii() else _utf8_size(text)
        if size > self._body:
            raise self._too_large()
        if text[:1] == "[":
            try:  # one pass is enough for nearly all data
                return self._data(self._decode_data(text), text, size)
            except msgspec.MsgspecError:
                pass  # it is nested more deeply, or something is wrong with it
        # Counting brackets is fast and never underestimates the depth; only suspects are walked.
        suspect = text.count("[") + text.count("{") > self._nested
        if text[:1] == "{" and not suspect:
            try:  # one pass is enough for nearly every control frame
                frame = self._decode_control(text)
            except msgspec.MsgspecError:
                pass  # two passes find what is wrong with it
            else:
                return frame if type(frame) is not Bytes else self._control(frame)
        try:
            value = _decode(text)
        except RecursionError:  # far above the allowed depth
            raise self._too_deep() from None
        except (msgspec.MsgspecError, UnicodeError):
            raise ProtocolError(
                codes.BAD_JSON,
                "the frame is not JSON: send one array or object, with nothing around it, "
                "no NaN and no lone surrogate",
            ) from None
        if suspect and json_bounds.is_deeper_than(value, self._nested):
            raise self._too_deep()
        if type(value) is list:
            if json_bounds.has_large_integer(value[2:]):
                raise ProtocolError(
                    codes.BAD_FRAME,
                    "a message holds an integer beyond 2^53 - 1, where JavaScript rounds: send it "
                    "as a string",
                )
            return self._data(value, text, size)
        return self._object(value, size)

    def decode_lines(self, body: bytes) -> list[Any]:
        """Decode the frames of an HTTP body, one a line, split at 0x0A only (FRM-2, SND-1).

        Returns:
            The frames up to the first invalid one, which is replaced by its `ProtocolError`. The
            frames before it must still be handled (SND-3).

        Raises:
            ProtocolError: ``bad_json`` (not UTF-8) or ``too_many`` lines.
        """
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            raise ProtocolError(codes.BAD_JSON, "the body must be encoded as UTF-8") from None
        text = text.removesuffix("\n")
        if text.count("\n") >= self._limits.batch:  # before memory is used for the lines
            raise ProtocolError(
                codes.TOO_MANY,
                "the body has more lines than the server's "
                f"Limits(batch={self._limits.batch}) allows",
                limit="batch",
            )
        frames: list[Any] = []
        for line in text.split("\n"):
            try:
                frames.append(self.decode(line))
            except ProtocolError as error:
                frames.append(error)
                break
        return frames

    def _too_large(self) -> ProtocolError:
        return ProtocolError(
            codes.TOO_LARGE,
            f"the frame exceeds {self._limits.body} bytes, the maximum that the server's "
            "Limits(message=...) implies",
            limit="body",
        )

    def _too_deep(self) -> ProtocolError:
        return ProtocolError(
            codes.BAD_FRAME,
            "the frame is nested more deeply than the server's "
            f"Limits(depth={self._limits.depth}) allows",
            limit="depth",
        )

    def _data(self, items: list[Any], text: str, size: int) -> Data | Oversized:
        limits = self._limits
        if len(items) < 3:
            raise ProtocolError(codes.BAD_FRAME, "a data frame is [number, ack, message, ...]")
        seq, ack = items[0], items[1]
        if type(seq) is not int or not 1 <= seq <= MAX_NUMBER:
            raise ProtocolError(
                codes.BAD_NUMBER, "the number of a message is an integer from 1 to 2^53 - 1"
            )
        if type(ack) is not int or not 0 <= ack <= MAX_NUMBER:
            raise ProtocolError(codes.BAD_NUMBER, "ack is an integer from 0 to 2^53 - 1")
        del items[:2]
        count = len(items)
        if count > limits.batch:
            raise ProtocolError(
                codes.TOO_MANY,
                "the frame has more messages than the server's "
                f"Limits(batch={limits.batch}) allows",
                limit="batch",
            )
        if seq + count - 1 > MAX_NUMBER:
            raise ProtocolError(codes.BAD_NUMBER, "the numbers end at 2^53 - 1")
        if size > limits.message:
            before = 0
            for index, raw in enumerate(_raw_items(text)[2:]):
                if (length := len(bytes(raw))) > limits.message:
                    fit = items[:index]
                    return Oversized(
                        Data(seq, ack, fit, before, _encode(fit).decode()), seq + index
                    )
                before += length
        # The sender counts the messages alone, without the brackets, numbers and commas.
        around = text.index(",", text.index(",") + 1) + 1 + count
        return Data(seq, ack, items, size - around, text)

    def _binary(self, encoded: bytes) -> Data | Oversized:
        if len(encoded) < _HEADER:
            raise ProtocolError(codes.BAD_FRAME, "a binary frame begins with number and ack")
        number = int.from_bytes(encoded[:8], "big")
        ack = int.from_bytes(encoded[8:_HEADER], "big")
        if not 1 <= number <= MAX_NUMBER or ack > MAX_NUMBER:
            raise ProtocolError(codes.BAD_NUMBER, "number and ack are below 2^53")
        return self._bytes(number, ack, encoded[_HEADER:])

    def _bytes(self, number: int, ack: int, data: bytes) -> Data | Oversized:
        if len(data) > self._limits.body:
            raise self._too_large()
        if len(data) > self._limits.message:
            return Oversized(Data(number, ack, [], len(data)), number)
        return Data(number, ack, [data], len(data))

    def _control(self, frame: Any) -> Any:
        if type(frame) is Bytes:
            return self._bytes(frame.number, frame.ack, frame.data)
        return frame

    def _object(self, value: Any, size: int) -> Any:
        """Convert an object.

        Slower than the typed decoder, but the last of repeated keys wins, as is usual for JSON.
        """
        if type(value) is not dict:
            raise ProtocolError(codes.BAD_FRAME, "a frame is an array or an object")
        is_known = value.get("type") in _types(self._side)
        try:
            if is_known or "number" not in value or "ack" not in value:
                return self._control(msgspec.convert(value, self._side))
            frame = msgspec.convert(value, Numbered)
        except msgspec.ValidationError as error:
            raise field_error(str(error)) from None
        return Data(frame.number, frame.ack, [NOTHING], size)


@cache
def _control_decoder(side: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a side. It is created once: that costs as much as a thousand frames."""
    return msgspec.json.Decoder(side)


@cache
def _types(side: Any) -> tuple[str, ...]:
    """Return the types of a side's control frames."""
    return tuple(str(frame.__struct_config__.tag) for frame in get_args(side))


class Oversized(msgspec.Struct, frozen=True):
    """A data frame in which a message is above the limit (DAT-4).

    Attributes:
        before: the messages before that one, to be handled as usual.
        number: the number of that message.
    """

    before: Data
    number: int


def _utf8_size(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise ProtocolError(codes.BAD_JSON, "the frame is not UTF-8") from None


__all__ = [
    "Decoder",
    "Encoder",
    "Oversized",
    "Payload",
    "decode_message",
    "encode_bytes",
    "encode_control",
    "encode_data",
    "encode_message",
    "encode_sized",
    "json_size",
    "object_size",
    "size_of",
    "undecoded",
]
