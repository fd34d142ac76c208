"""The record of a session: its owner, and the hash of its token (IDN-3)."""

from __future__ import annotations

from transport.stores.records import Record
from transport.stores.tokens import Credential, hash_secret


def test_record_opens_to_its_secret_only() -> None:
    """IDN-3: and it keeps only the hash."""
    record = Record("s1", "ada", hash_secret("secret"))
    assert record.opens_to(Credential("s1", hash_secret("secret")))
    for wrong in ("", "secre", "secret ", "\ud800"):
        assert not record.opens_to(Credential("s1", hash_secret(wrong)))
    assert "secret" not in str(record)
