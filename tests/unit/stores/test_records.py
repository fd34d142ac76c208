"""The record of a session: its owner and its tokens (OPN-4, IDN-2, IDN-3)."""

from __future__ import annotations

import pytest

from transport.stores.records import MAX_TOKENS, Record, hash_secret, make_token, split_token


def opened(record: Record) -> set[str]:
    return {secret for secret in "abcdefg" if record.opens_to(secret)}


def test_tokens_stay_valid_until_one_is_used() -> None:
    """OPN-4."""
    record = Record("s1", "")
    for secret in "abcd":
        record.issue(secret)
    assert len(record.hashes) == MAX_TOKENS
    assert opened(record) == set("bcd")
    record.use("a")
    assert opened(record) == set("bcd")
    record.use("c")
    assert opened(record) == set("c")
    record.use("c")
    assert opened(record) == set("c")


def test_repeated_opening_keeps_token_in_use() -> None:
    """OPN-4: a late repetition of the nonce gets a token, but does not replace the one in use."""
    record = Record("s1", "")
    record.issue("a")
    record.use("a")
    for secret in "bcd":
        record.issue(secret)
    assert opened(record) == set("acd")


def test_record_keeps_only_hashes() -> None:
    """IDN-3."""
    record = Record("s1", "")
    record.issue("secret")
    assert b"secret" not in b"".join(record.hashes)
    assert not record.opens_to("\ud800")


@pytest.mark.parametrize(
    ("token", "parts"),
    [
        (make_token("s1", "x.y"), ("s1", "x.y")),
        ("", None),
        ("s1", None),
        ("s1.", None),
        (".x", None),
        ("s" * 65 + ".x", None),
    ],
)
def test_token_is_split_into_id_and_secret(token: str, parts: tuple[str, str] | None) -> None:
    assert split_token(token) == parts


def test_secret_is_stored_only_as_hash() -> None:
    """IDN-3."""
    record = Record("one", "")
    record.issue("secret")
    assert record.hashes == [hash_secret("secret")]
    assert b"secret" not in record.hashes[0]


def test_malformed_tokens_are_rejected() -> None:
    assert split_token(make_token("id", "secret")) == ("id", "secret")
    for bad in ("", ".", "id", "id.", ".secret", "x" * 65 + ".secret"):
        assert split_token(bad) is None
    assert hash_secret("\ud800")
