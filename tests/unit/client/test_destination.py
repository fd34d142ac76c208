"""The destination that the arguments of `connect` describe, and what is refused."""

from __future__ import annotations

import ssl
from typing import Any

import pytest

from transport.client.destination import Destination, make_destination


def destination(url: str = "https://example.org/chat", **options: Any) -> Destination:
    given = {"headers": {}, "verify": True, "proxy": None, "trust_env": False, **options}
    return make_destination(url, **given)


def test_verify_true_trusts_the_system() -> None:
    tls = destination().tls
    assert tls is not None
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_verify_false_trusts_anyone() -> None:
    tls = destination(verify=False).tls
    assert tls is not None
    assert (tls.verify_mode, tls.check_hostname) == (ssl.CERT_NONE, False)


def test_context_is_used_only_if_there_is_tls() -> None:
    context = ssl.create_default_context()
    assert destination(verify=context).tls is context
    assert destination("http://example.org/", verify=context).tls is None
    proxied = destination("ws://example.org/", verify=context, proxy="https://proxy:3128")
    assert proxied.tls is context


@pytest.mark.parametrize("verify", ["ca.pem", 1, None])
def test_verify_of_another_type_is_refused(verify: object) -> None:
    """httpx deprecates the path of a file."""
    with pytest.raises(ValueError, match=r"ssl\.SSLContext or a bool.*create_default_context"):
        destination(verify=verify)


def test_header_names_are_in_lower_case() -> None:
    headers = {"X-Trace": "a\tb", "Authorization": "Bearer x"}
    assert destination(headers=headers).headers == {
        "x-trace": "a\tb",
        "authorization": "Bearer x",
    }


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"x y": "1"}, "a name that is not one of a header: 'x y'"),
        ({"": "1"}, "a name that is not one of a header"),
        ({b"x": "1"}, "a name that is not one of a header"),
        ({"x": "s3cret\r\nhost: other"}, r"headers\['x'\] must be a str of printable ASCII"),
        ({"x": "s3cré"}, r"headers\['x'\] must be a str of printable ASCII"),
        ({"x": 1}, r"headers\['x'\] must be a str of printable ASCII"),
        ({"Content-Type": "text/plain"}, "must not have 'Content-Type'"),
        ({"Host": "other"}, "must not have 'Host'"),
        ({"x": "1", "X": "2"}, "has 'X' twice"),
    ],
)
def test_unusable_header_is_refused(headers: dict[Any, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        destination(headers=headers)
    assert "s3cr" not in str(caught.value)
