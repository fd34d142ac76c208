"""`ChannelCounters`: what is counted of a channel, and by no other part."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ChannelCounters:
    """The counters of `Channel.statistics` that no other part keeps."""

    attaches: int = 0
    resets: int = 0
    recovered: int = 0
