"""The Python client: `connect`. Needs the extra ``client`` of the distribution."""

from __future__ import annotations

from transport.client.channel import Channel, ClientStatistics
from transport.client.connect import connect
from transport.client.connection import Attempt
from transport.client.pacing import Pacing

__all__ = ("Attempt", "Channel", "ClientStatistics", "Pacing", "connect")
