"""What tests of handlers, and of anything else that speaks over a channel, are made of.

A `Page` opens a channel to a hub in process, over any transport (`drive`); a `JumpingEventLoop`
lets hours pass in a moment; `ask`, `stream` and `socket` are the same one step lower, for single
requests and frames; a `Pair` is both halves of a session over a link that loses, repeats and cuts.
None opens a socket. ``import transport`` brings none of it; docs/testing.md tells how it is used.
"""

from transport.testing.asgi import (
    Answer,
    Connection,
    Socket,
    Stream,
    ask,
    denied,
    lines,
    opening,
    request,
    scope_of,
    socket,
    started,
    stream,
    until,
    whole,
)
from transport.testing.clock import JumpingEventLoop
from transport.testing.page import Page, drive
from transport.testing.pair import Faults, Pair

__all__ = (
    "drive",
    "Page",
    "JumpingEventLoop",
    "Pair",
    "Faults",
    "ask",
    "request",
    "started",
    "whole",
    "stream",
    "socket",
    "denied",
    "Answer",
    "Stream",
    "Socket",
    "Connection",
    "scope_of",
    "opening",
    "lines",
    "until",
)
