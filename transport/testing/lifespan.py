"""`Lifespan`: starts an application, and shuts it down, as a server does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message


class Lifespan:
    """The lifespan of an application.

    Args:
        app: the application. It may have none.
        run: starts a task in its process.

    Attributes:
        state: what its requests share.
    """

    def __init__(
        self, app: ASGIApp, run: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self.state: dict[str, Any] = {}
        self._app = app
        self._start_task = run
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Let it begin.

        Raises:
            RuntimeError: it has failed.
        """
        self._task = self._start_task(self._run())
        answer = await self._ask("startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(f"the application has not started: {answer.get('message', '')}")

    async def shut_down(self) -> None:
        """Let it end."""
        assert self._task is not None
        if not self._task.done():
            await self._ask("shutdown")

    async def _ask(self, what: str) -> Message | None:
        """Return the answer; None if the application has no lifespan."""
        assert self._task is not None
        self._events.put_nowait({"type": f"lifespan.{what}"})
        answering = asyncio.ensure_future(self._answers.get())
        try:
            await asyncio.wait({answering, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answering.cancel()
        if answering.done() and not answering.cancelled():
            return answering.result()
        return self._answers.get_nowait() if not self._answers.empty() else None

    async def _run(self) -> None:
        asgi = {"version": "3.0", "spec_version": "2.0"}
        scope = {"type": "lifespan", "asgi": asgi, "state": self.state}
        with suppress(Exception):  # an application without a lifespan raises
            await self._app(scope, self._events.get, self._answers.put)
