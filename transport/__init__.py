"""One message channel between a web page and a Python service, that stays up.

See README.md to begin with, PROTOCOL.md for what is on the wire.
"""

from transport.channel import Channel, ChannelStatistics
from transport.errors import (
    Busy,
    ChannelClosed,
    ChannelError,
    Stalled,
    TooLarge,
    Unsendable,
)
from transport.group import Group
from transport.hub import Hub, HubStatistics
from transport.limits import Limits
from transport.policy import Identity
from transport.stores import Store
from transport.stores.memory import MemoryStore

__all__ = (
    "Hub",
    "Channel",
    "Group",
    "Limits",
    "Identity",
    "Store",
    "MemoryStore",
    "ChannelError",
    "ChannelClosed",
    "Busy",
    "Stalled",
    "Unsendable",
    "TooLarge",
    "ChannelStatistics",
    "HubStatistics",
)

__version__ = "0.1.0"
