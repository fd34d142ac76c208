"""What is wrong with a Redis, for people: whose fault it is, and what to do.

The texts name the address of the Redis, but no part of its URL that may be a secret: a password is
easily written in the place of the user.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from typing import Any

from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    InvalidResponse,
    RedisError,
    ResponseError,
)

REFUSALS = (ResponseError, AuthenticationError, AuthorizationError, BusyLoadingError)
"""What redis-py raises for an error that Redis has answered."""


class Refused(Exception):
    """Redis does not let this process in; the text says why, and what to do."""


class Unreached(Exception):
    """No connection to Redis could be made; the text says why, and what to do."""


_ADVICE = {
    "CLUSTERDOWN": "RedisStore does not work with Redis Cluster: use a single Redis, with Sentinel "
    "if it must be replaced when it fails",
    "DENIED": "Redis is in protected mode: give it a password, or let it bind to a private address",
    "LOADING": "it has just started: wait",
    "MASTERDOWN": "this is a replica that has lost its master: look at that one",
    "MISCONF": "it cannot write to its disk: look at its log",
    "NOAUTH": "write its password into the URL, as in redis://:password@host:6379/0",
    "NOPERM": "the ACL of its user is too narrow: docs/scaling.md has the line that is needed",
    "NOREPLICAS": "its replicas are away, and min-replicas-to-write asks for them",
    "OOM": "its memory is full: raise its maxmemory, or remove what does not belong there",
    "READONLY": "this is a replica: give RedisStore the address of its master, or if Sentinel "
    "chooses that, a client of Sentinel",
    "WRONGPASS": "correct the user or the password in the URL",
    "WRONGTYPE": "another program uses the same key: give RedisStore a prefix",
}
"""What to do about an error of Redis, by its code."""

_ADVICE |= dict.fromkeys(("MOVED", "ASK", "CROSSSLOT", "TRYAGAIN"), _ADVICE["CLUSTERDOWN"])

_PARTS = {
    "DB index is out of range": "Redis has no database of the number that the URL ends with",
    "SELECT is not allowed in cluster mode": _ADVICE["CLUSTERDOWN"],
    "can't run this command or subcommand": _ADVICE["NOPERM"],
    "unknown command": "this is not Redis 7.0, Valkey 7.2 or later, or it has renamed commands",
}
"""The same for errors without a code of their own, by a part of the text."""


def explain_error(error: Exception) -> str:
    """Return what Redis has answered, with its code and what to do about it.

    Args:
        error: one of `REFUSALS`; of any other only its text is returned.
    """
    if not isinstance(error, REFUSALS):
        return str(error)
    text = _text_of(error).rstrip(".")
    advice = _ADVICE.get(text.partition(" ")[0])
    advice = advice or next((what for part, what in _PARTS.items() if part in text), None)
    return f"{text} ({advice})" if advice else text


def _text_of(error: RedisError) -> str:
    """Return the error of the server with its code, which redis-py takes away if it knows it."""
    if type(error) is ResponseError:
        return str(error)
    code = getattr(error, "status_code", None) or type(error).__name__  # which older ones have not
    return f"{code} {error}"


def explain_failure(error: Exception, options: Mapping[str, Any], *, is_encrypted: bool) -> str:
    """Return why a connection could not be made, and what to do about it.

    Args:
        error: what redis-py has raised.
        options: those of the connection.
        is_encrypted: whether it uses TLS.
    """
    where = _address_of(options)
    if isinstance(error, REFUSALS):
        return f"Redis at {where} refuses the connection: {explain_error(error)}"
    if isinstance(error, InvalidResponse):
        return f"what answers at {where} is no Redis ({error}): correct host and port in the URL"
    cause: BaseException = error
    while not isinstance(cause, OSError) and (deeper := cause.__cause__ or cause.__context__):
        cause = deeper
    match cause:
        case ssl.SSLCertVerificationError():
            return (
                f"Redis at {where} has a certificate that this process does not trust "
                f"({cause.verify_message}): name the file of its authority in the URL, as in "
                "rediss://host:6379?ssl_ca_certs=/etc/redis/ca.pem"
            )
        case ssl.SSLError():
            return (
                f"Redis at {where} does not speak TLS as this process does ({cause.reason}): if it "
                "has no TLS, write redis:// instead of rediss://"
            )
        case socket.gaierror():
            return (
                f"the host of {where} is not known ({cause.strerror}): correct it in the URL, or "
                "look at the name service"
            )
        case ConnectionRefusedError() | FileNotFoundError():
            return f"nothing listens at {where}: start Redis, or correct host and port in the URL"
        case OSError(strerror=str(reason)) if not isinstance(cause, ConnectionError):
            return f"{where} cannot be reached ({reason}): look at the network to it"
        case _:
            hint = "look at its log"
            if not is_encrypted:
                hint = f"if it takes TLS only, write rediss:// instead of redis://; else {hint}"
            return f"Redis at {where} ends the connection at once: {hint}"


def explain_silence(options: Mapping[str, Any], *, seconds: float, is_encrypted: bool) -> str:
    """Return what to do about a Redis that does not answer a new connection.

    Args:
        options: those of the connection.
        seconds: for which it was waited for.
        is_encrypted: whether the connection uses TLS.
    """
    hint = "if it has no TLS, write redis:// instead of rediss://; else " if is_encrypted else ""
    return (
        f"Redis at {_address_of(options)} has not answered within {seconds:g} s: {hint}look at the "
        "network to it, and at its load"
    )


def _address_of(options: Mapping[str, Any]) -> str:
    """Return where a Redis is, without user and password."""
    if path := options.get("path"):
        return str(path)
    if "connection_pool" in options:
        return "the address that Sentinel gives"
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
