"""A message channel between a web page and a Python service that survives lost connections.

See README.md to begin with, PROTOCOL.md for what is on the wire.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from transport.bus.redis_store import RedisStore
from transport.bus.workers import Workers
from transport.errors import (
    Busy,
    ChannelClosed,
    ChannelError,
    Fate,
    NotRead,
    SessionReset,
    Stalled,
    StoreUnavailable,
    TooLarge,
    Unacknowledged,
    Unreachable,
    Unsendable,
)
from transport.limits import Limits
from transport.server.as_websocket import as_websocket
from transport.server.authentication import Identity
from transport.server.channel import Channel, ChannelStatistics
from transport.server.group import Group
from transport.server.hub import Hub
from transport.server.statistics import HubStatistics
from transport.stores.interface import Store
from transport.stores.memory import MemoryStore

if TYPE_CHECKING:
    # Through `transport.client`, mypy may take it for the module of the same name.
    from transport.client.connect import connect

__all__: tuple[str, ...] = (
    "Hub",
    "Channel",
    "Group",
    "Limits",
    "Identity",
    "Store",
    "MemoryStore",
    "Workers",
    "RedisStore",
    "ChannelError",
    "ChannelClosed",
    "Busy",
    "Stalled",
    "StoreUnavailable",
    "Unsendable",
    "TooLarge",
    "NotRead",
    "Unreachable",
    "SessionReset",
    "Unacknowledged",
    "Fate",
    "ChannelStatistics",
    "HubStatistics",
    "as_websocket",
)

# A star import imports every name, and `connect` needs the extra `client`.
if find_spec("httpx") and find_spec("websockets"):
    __all__ += ("connect",)

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import `connect` lazily, because it needs httpx and websockets."""
    if name != "connect":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from transport.client import connect
    except ModuleNotFoundError as error:
        raise ImportError(
            f"transport.connect needs {error.name}: install onechannel[client]"
        ) from error
    return connect
