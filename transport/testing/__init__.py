"""Tools for tests of handlers, and of anything else that speaks over a channel.

A `Page` opens a channel to a hub in process, over any transport (`drive`). On a `JumpingEventLoop`
hours pass in a moment. A `cluster` is several processes of an application, in the test's own.
`ask`, `stream` and `socket` work one level lower, with single requests and frames. A `Pair` is both
halves of a session over a link that loses, repeats and cuts. None of them opens a socket. ``import
transport`` imports none of this; docs/testing.md describes its use.
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
from transport.testing.cluster import Cluster, cluster
from transport.testing.faults import Faults
from transport.testing.page import Page, drive
from transport.testing.pair import Pair

__all__ = (
    "drive",
    "Page",
    "JumpingEventLoop",
    "cluster",
    "Cluster",
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
