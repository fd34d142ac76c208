"""Why a connection failed, in words, and what to do about it."""

from __future__ import annotations

import re
import socket
import ssl

import pytest

from transport.client.diagnosis import CURES, describe_error, explain_failure
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
        (ssl.SSLCertVerificationError("self-signed certificate"), "certificate is not trusted"),
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


def test_cures_are_for_statuses_and_codes() -> None:
    others = {reason for reason in CURES if not re.fullmatch(r"HTTP \d{3}", reason)} - set(CODES)
    assert others == {"no answer in time", "no credentials"}
    assert explain_failure("HTTP 404") == "HTTP 404: no channel at this URL: check the mount path"
    assert explain_failure("closed with 1006") == "closed with 1006"


def test_unreachable_lists_reasons_by_transport() -> None:
    error = Unreachable({"sse": "HTTP 404", "longpoll": "refused"}, "http://host/chat")
    assert str(error) == (
        "no channel could be opened at http://host/chat (sse: HTTP 404; longpoll: refused)"
    )
    assert str(Unreachable({})) == "no channel could be opened (nothing was tried)"
