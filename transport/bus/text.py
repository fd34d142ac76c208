"""Text of an application in items: it may have lone surrogates, which msgpack refuses in a str."""

from __future__ import annotations


def encode_text(text: str) -> bytes:
    """Return a text as bytes."""
    return text.encode("utf-8", "surrogatepass")


def decode_text(encoded: bytes) -> str:
    """Return the text that `encode_text` has encoded."""
    return encoded.decode("utf-8", "surrogatepass")
