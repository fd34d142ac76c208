"""Aborts a connection that is stuck in a write."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Receive


def aborter(receive: Receive) -> Callable[[], None]:
    """Return a function that drops a connection whose peer reads nothing.

    uvicorn keeps such a connection until its buffer is flushed, which may never happen. Its
    transport can be aborted if no middleware wraps ``receive`` (Starlette's own wraps only
    ``send``). Otherwise the function does nothing, and the connection ends when TCP gives up.
    """

    def abort() -> None:
        transport = getattr(getattr(receive, "__self__", None), "transport", None)
        if transport is not None:
            transport.abort()

    return abort
