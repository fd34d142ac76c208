"""Whether a Redis can keep sessions: its version, and what it does when its memory is full."""

from __future__ import annotations

from transport.telemetry.log import WARNING, log_event

OLDEST = (7, 0)
"""The first version that has what the store uses. Valkey says 7.2 or later."""

POLICY = "noeviction"


def read_info(answer: bytes) -> dict[str, str]:
    """Return the fields of an answer to INFO."""
    lines = answer.decode("utf-8", "replace").splitlines()
    pairs = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: value for name, _, value in pairs if name}


def check_server(server: bytes, memory: bytes | None) -> None:
    """Check what Redis says of itself.

    Args:
        server, memory: the answers to INFO with these sections; None if it was refused.

    Raises:
        RuntimeError: it cannot keep sessions; the message says why, and what to do.
    """
    about = read_info(server)
    version = about.get("redis_version", "")
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        raise RuntimeError(
            f"RedisStore needs Redis {OLDEST[0]}.{OLDEST[1]} or later, or Valkey, and this one is "
            f"Redis {version}: upgrade it"
        )
    if about.get("redis_mode") == "cluster":
        raise RuntimeError(
            "RedisStore does not work with Redis Cluster: use a single Redis, with Sentinel if it "
            "must be replaced when it fails"
        )
    if not about.get("run_id"):
        raise RuntimeError(
            "RedisStore must know when Redis was restarted, and this one hides its run_id from "
            "INFO, as some proxies do: connect to Redis itself"
        )
    policy = read_info(memory or b"").get("maxmemory_policy")
    if policy is None:
        log_event(
            WARNING,
            "store_policy",
            f"the maxmemory-policy of Redis cannot be read: make sure that it is {POLICY}, or "
            "sessions are lost when its memory is full",
        )
    elif policy != POLICY:
        raise RuntimeError(
            f"Redis has the maxmemory-policy {policy}, so that it deletes sessions when its memory "
            f"is full, and their clients lose messages: set maxmemory-policy to {POLICY}"
        )
