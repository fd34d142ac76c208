"""Whether a Redis can keep sessions: its version, and what it does when its memory is full."""

from __future__ import annotations

from collections.abc import Mapping

from transport.stores.remote.wire import Unwilling
from transport.telemetry.log import WARNING, log_event

OLDEST = (7, 0)
"""The first version that has what the store uses. Valkey says 7.2 or later."""

POLICY = "noeviction"


def read_info(answer: bytes) -> dict[str, str]:
    """Return the fields of an answer to INFO."""
    lines = answer.decode("utf-8", "replace").splitlines()
    pairs = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: value for name, _, value in pairs if name}


def check_server(about: Mapping[str, str]) -> None:
    """Check what Redis says of itself.

    Args:
        about: the fields of INFO about the server.

    Raises:
        Unwilling: it cannot keep sessions; the text says why, and what to do.
    """
    version = about.get("redis_version", "")
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise Unwilling(
            f"RedisStore needs Redis {OLDEST[0]}.{OLDEST[1]} or later, or Valkey, and this one is "
            f"Redis {version}: upgrade it"
        )
    if about.get("redis_mode") == "cluster":
        raise Unwilling(
            "RedisStore does not work with Redis Cluster: use a single Redis, with Sentinel if it "
            "must be replaced when it fails"
        )
    if not about.get("run_id"):
        raise Unwilling(
            "RedisStore must know when Redis was restarted, and this one hides its run_id from "
            "INFO, as some proxies do: connect to Redis itself"
        )


def check_policy(memory: Mapping[str, str]) -> None:
    """Check that Redis deletes no session when its memory is full.

    Args:
        memory: the fields of INFO about the memory; empty if it was refused.

    Raises:
        Unwilling: it does.
    """
    policy = memory.get("maxmemory_policy")
    if policy is None:
        log_event(
            WARNING,
            "store_policy",
            f"the maxmemory-policy of Redis cannot be read: make sure that it is {POLICY}, or "
            "sessions are lost when its memory is full",
        )
    elif policy != POLICY:
        raise Unwilling(
            f"Redis has the maxmemory-policy {policy}, so that it deletes sessions when its memory "
            f"is full, and their clients lose messages: set maxmemory-policy to {POLICY}"
        )
