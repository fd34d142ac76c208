"""Why a connection failed, in words, and what to do about it."""

from __future__ import annotations

import re
import socket
import ssl

import pytest

from transport.client.diagnosis import (
    CLOSED,
    CURES,
    describe_error,
    describe_refusal,
    explain_failure,
)
from transport.client.urls import public_url
from transport.codes import CODES
from transport.errors import Unreachable


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "Connect call failed"), "connection refused: no server"),
        (socket.gaierror(-2, "Name or service not known"), "the host's name is unknown"),
        (ConnectionResetError(104, "Connection reset by peer"), CLOSED),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), CLOSED),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "does the server speak https"),
        (OSError("All connection attempts failed"), "All connection attempts failed"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_error_is_described_by_its_cause(error: Exception, text: str) -> None:
    """Libraries wrap it, in a group if a name has several addresses."""
    group = ExceptionGroup("multiple connection attempts failed", [error, OSError("other")])
    assert text in describe_error(error)
    if type(error) not in (OSError, TimeoutError):
        assert text in describe_error(caused(OSError("All failed"), error))
        assert text in describe_error(caused(RuntimeError("wrapped"), caused(OSError(""), group)))


def test_description_contains_no_url() -> None:
    """It may have a password in it."""
    error = ValueError("http://me:s3cret@proxy isn't a valid proxy")
    assert describe_error(error) == "ValueError"


def test_public_url_has_no_secrets() -> None:
    assert public_url("https://me:s3cret@host:8000/chat?t=s3cret#x") == "https://host:8000/chat"


def test_proxy_is_what_a_failure_is_about() -> None:
    """With one, the client itself looks up and connects to nothing else."""
    proxy = "http://me:s3cret@proxy:3128"
    refused = describe_error(ConnectionRefusedError(111, "Connect call failed"), proxy)
    assert refused.startswith("connection refused: no proxy listens at http://proxy:3128: check")
    unknown = describe_error(socket.gaierror(-2, "Name or service not known"), proxy)
    assert unknown.startswith("the proxy's name is unknown: check connect(proxy=...)")


def test_refusal_by_proxy_is_not_the_servers() -> None:
    assert describe_refusal("403") == "proxy: HTTP 403"
    assert describe_refusal("407") == "HTTP 407"  # only a proxy answers that


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (9, "TLS: the server's certificate is not valid yet"),
        (10, "TLS: the server's certificate has expired"),
        (18, "TLS: the server's certificate is signed by nobody that this client trusts"),
        (62, "TLS: the server's certificate is for another host"),
        (64, "TLS: the server's certificate is for another host"),
    ],
)
def test_distrust_says_what_is_wrong(code: int, text: str) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    assert describe_error(error).startswith(text)
    assert describe_error(error, "http://proxy:3128").startswith(text)
    both = text.replace("server's", "server's or the proxy's")
    assert describe_error(error, "https://proxy:3128").startswith(both)


def test_cures_are_for_statuses_and_codes() -> None:
    statuses = re.compile(r"(proxy: )?HTTP \d{3}")
    others = {reason for reason in CURES if not statuses.fullmatch(reason)} - set(CODES)
    assert others == {CLOSED, "no answer in time", "no credentials"}
    assert explain_failure("HTTP 404") == "HTTP 404: no channel at this URL: check the mount path"
    assert explain_failure("closed with 1006") == "closed with 1006"


def test_unreachable_lists_reasons_by_transport() -> None:
    error = Unreachable({"sse": "HTTP 404", "longpoll": "refused"}, "http://host/chat")
    assert str(error) == (
        "no channel could be opened at http://host/chat (sse: HTTP 404; longpoll: refused)"
    )
    assert str(Unreachable({})) == "no channel could be opened (nothing was tried)"
