"""Tokens: derived from the ``open``, split into id and secret (OPN-4, OPN-6)."""

from __future__ import annotations

from itertools import combinations

import pytest

from transport.stores.tokens import Credential, derive_secret, hash_secret, make_token, read_token

KEY = b"k" * 32
PARTS = ("s1", "ada", "client-0123456789", "nonce-0123456789abcdefghij")


def test_secret_of_one_nonce_is_always_the_same() -> None:
    """OPN-4: 256 bits, in characters that need no escape anywhere."""
    secret = derive_secret(KEY, *PARTS)
    assert secret == derive_secret(KEY, *PARTS)
    assert secret == "mqTtEYqtMe20XpBWuNc04RtCdXk042-B2OtmIhUiY0k"
    assert len(make_token("i" * 12, secret)) <= 128


def test_secret_depends_on_every_part() -> None:
    """OPN-4, IDN-2: on the key, the session, the subject, the client, and the nonce."""
    changed = [(*PARTS[:at], PARTS[at] + "x", *PARTS[at + 1 :]) for at in range(len(PARTS))]
    secrets = [derive_secret(KEY, *parts) for parts in (PARTS, *changed)]
    secrets.append(derive_secret(b"another key", *PARTS))
    assert len(set(secrets)) == len(secrets)


def test_parts_of_a_secret_cannot_be_moved() -> None:
    """A subject may hold anything; ids, clients and nonces no colon (OPN-3)."""
    rows = [
        ("s1", "ada", "c", "n"),
        ("s1", "nada", "c", ""),
        ("s1", ":ada", "c", "n"),
        ("s1", "n:ada", "c", ""),
        ("s1", "c:n:ada", "", ""),
        ("s1c", "ada", "", "n"),
        ("s1", "\ud800", "c", "n"),
        ("s1", "?", "c", "n"),
    ]
    for one, other in combinations(rows, 2):
        assert derive_secret(KEY, *one) != derive_secret(KEY, *other)


@pytest.mark.parametrize(
    ("token", "parts"),
    [
        (make_token("s1", "x.y"), ("s1", "x.y")),
        (make_token("i" * 64, "x"), ("i" * 64, "x")),
        ("", None),
        (".", None),
        ("s1", None),
        ("s1.", None),
        (".x", None),
        ("s" * 65 + ".x", None),
    ],
)
def test_token_proves_id_and_hash_of_secret(token: str, parts: tuple[str, str] | None) -> None:
    due = Credential(parts[0], hash_secret(parts[1])) if parts is not None else None
    assert read_token(token) == due


def test_any_text_can_be_hashed() -> None:
    """A client may send anything for a token."""
    assert hash_secret("\ud800") != hash_secret("?")
