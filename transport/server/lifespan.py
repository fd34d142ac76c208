"""`Lifespan`: runs a hub while its server, or a test, runs."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import NoReturn

from transport.server.lifecycle import Lifecycle


class Lifespan(AbstractAsyncContextManager[None]):
    """Starts a hub; at the end, drains it and waits for its handlers.

    Args:
        lifecycle: of the hub.
    """

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    async def __aenter__(self) -> None:
        self._lifecycle.start()
        self._lifecycle.has_lifespan = True

    async def __aexit__(self, *_: object) -> None:
        lifecycle = self._lifecycle
        if lifecycle.current is None or not lifecycle.is_here:  # a later loop has it
            return
        try:
            await lifecycle.current.drain()
            await lifecycle.current.leave()
        finally:
            lifecycle.has_lifespan = False
            lifecycle.stop()

    def __call__(self, app: object) -> NoReturn:
        """Refuse to be passed where Starlette and FastAPI take the method.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            "lifespan=hub.lifespan() passes what the method returns: write lifespan=hub.lifespan, "
            "without calling it"
        )
