"""`releases` as a later release would run it: what it sends to other workers has more in it.

Each item, question and answer has a field that this release does not know, and after each comes an
item of a type that it does not know.
"""

from __future__ import annotations

from tests.integration.workers.releases import app
from tests.support.later_items import News, encode_item
from transport.bus import pipe
from transport.bus.items import Item
from transport.bus.pipe import UnixPipe

__all__ = ("app",)

_send = UnixPipe.send


def send(one: UnixPipe, item: Item) -> None:
    """Send an item, and another one."""
    _send(one, item)
    _send(one, News())  # type: ignore[arg-type]


pipe.encode_item = encode_item  # type: ignore[attr-defined]
UnixPipe.send = send  # type: ignore[assignment]
