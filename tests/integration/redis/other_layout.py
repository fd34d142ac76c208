"""`identified` as a later release would run it, whose layout in Redis is another."""

from __future__ import annotations

from transport.stores.redis import keys

keys.LAYOUT = "oc2"

from tests.integration.redis.identified import app  # noqa: E402 - the layout is changed before

__all__ = ("app",)
