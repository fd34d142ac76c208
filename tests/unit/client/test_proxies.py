"""Which proxy leads to a server: as httpx chooses it, but once for all transports."""

from __future__ import annotations

import os

import pytest

from transport.client.proxies import choose_proxy

URL = "https://example.org:8443/chat"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxies of the machine."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        (URL, {}, None),
        (URL, {"HTTPS_PROXY": "http://a:1"}, "http://a:1"),
        ("wss://example.org/", {"https_proxy": "http://a:1"}, "http://a:1"),
        (URL, {"HTTPS_PROXY": "a:1"}, "http://a:1"),
        (URL, {"HTTP_PROXY": "http://a:1"}, None),
        ("http://example.org/", {"HTTP_PROXY": "http://a:1"}, "http://a:1"),
        ("ws://example.org/", {"http_proxy": "http://a:1"}, "http://a:1"),
        ("ws://example.org/", {"HTTPS_PROXY": "http://a:1", "WS_PROXY": "http://b:1"}, None),
        (URL, {"ALL_PROXY": "http://b:1"}, "http://b:1"),
        (URL, {"ALL_PROXY": "http://b:1", "HTTPS_PROXY": "https://a:1"}, "https://a:1"),
        (URL, {"ALL_PROXY": "http://b:1", "HTTPS_PROXY": ""}, "http://b:1"),
    ],
)
def test_environment_names_proxy_by_scheme(
    url: str, variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert choose_proxy(url, None, trust_env=True) == proxy
    assert choose_proxy(url, None, trust_env=False) is None


@pytest.mark.parametrize(
    ("url", "exempt", "expected"),
    [
        (URL, "example.org", True),
        (URL, "other.org, .example.org", True),
        (URL, "*", True),
        (URL, "example.org:8443", True),
        (URL, "example.org:443", False),
        (URL, "www.example.org", False),
        (URL, "ample.org", False),
        ("wss://www.example.org/", "example.org", True),
        ("wss://www.example.org/", "www.example.org:443", True),
        ("ws://www.example.org/", "www.example.org:80", True),
        ("http://me:pass@127.0.0.1:8000/", "127.0.0.1", True),
        ("http://[::1]:8000/", "::1", True),
    ],
)
def test_no_proxy_exempts_hosts(
    url: str, exempt: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://a:1")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert choose_proxy(url, None, trust_env=True) == (None if expected else "http://a:1")
    assert choose_proxy(url, "http://given:1", trust_env=True) == "http://given:1"


@pytest.mark.parametrize(
    ("proxy", "text"),
    [
        ("socks5://me:s3cret@host:1080", "is a socks5 URL, and the client can use an HTTP proxy"),
        ("host", "is a relative URL"),
        ("http://", "must be http://host:port"),
        ("http://host:3128/path", "must be http://host:port"),
        ("http://host:3128?s3cret", "must be http://host:port"),
        ("http://host:port", "its port or password is wrong"),
        ("http://me:s3cret%ff@host:3128", "its port or password is wrong"),
        ("http://me@host:3128", "has a user without a password"),
    ],
)
def test_unusable_proxy_is_refused(proxy: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=text) as caught:
        choose_proxy(URL, proxy, trust_env=True)
    assert str(caught.value).startswith("connect(proxy=...)")
    assert "s3cret" not in str(caught.value)
    if "://" in proxy:
        monkeypatch.setenv("ALL_PROXY", proxy)
        with pytest.raises(ValueError, match=f"^the environment's ALL_PROXY .*{text}"):
            choose_proxy(URL, None, trust_env=True)
