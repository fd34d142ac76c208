"""Names of keys and channels."""

from __future__ import annotations

import pytest

from transport.stores.names import shorten, shorten_topic
from transport.stores.redis.keys import Keys


def test_names_of_at_most_44_bytes_are_kept() -> None:
    assert shorten("") == ""
    assert shorten("ann@example.org") == "ann@example.org"
    assert shorten("x" * 44) == "x" * 44
    assert shorten("é" * 22) == "é" * 22


@pytest.mark.parametrize("name", ["x" * 45, "é" * 23, "\ud800" * 15, "#", "#" + "x" * 43])
def test_long_name_becomes_44_bytes_of_ascii(name: str) -> None:
    short = shorten(name)
    assert short.isascii()
    assert len(short) == 44
    assert short.startswith("#")


def test_name_that_looks_like_a_hash_is_not_taken_for_it() -> None:
    short = shorten("a name that is too long to be kept as it is, really")
    assert shorten(short) != short


def test_keys_of_no_two_things_are_the_same() -> None:
    """Even if a client asks for a session with an id that was made up."""
    keys = Keys("shop:")
    names = ("a", "u:a", "t:a", "a}:d", "{a}", "a:d", "secret", "born", "")
    made = [keys.secret, keys.born]
    for name in names:
        made += [keys.record(name), keys.log(name), keys.opening(name), keys.process(name)]
        made += [keys.dismissed(name), keys.topic(name), keys.topic_log(name)]
        made += [keys.processes(name)]
    assert len(set(made)) == len(made)
    assert all(key.startswith("shop:oc1:") for key in made)


def test_keys_of_a_session_share_their_braces() -> None:
    keys = Keys()
    assert keys.record("id") == "oc1:s:{id}"
    assert keys.log("id") == "oc1:s:{id}:d"
    assert keys.topic("room") == "oc1:{t:room}"
    assert keys.topic_log("room") == "oc1:{t:room}:d"


def test_topic_that_is_short_already_stays_as_it_is() -> None:
    name = "g/a group with a name that is too long to be kept as it is"
    short = shorten_topic(name)
    assert short == shorten(name)
    assert shorten_topic(short) == short
    assert Keys().topic(short) == Keys().topic(name)
