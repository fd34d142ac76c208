"""The channels of a scene whose page is connected."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import TaskGroup

from transport import Channel, ChannelClosed


class Here:
    """The channels whose page is here. A session that waits for its page does not count.

    Args:
        changed: called when a channel has come or gone.
    """

    def __init__(self, changed: Callable[[], Awaitable[object]]) -> None:
        self._changed = changed
        self._channels: dict[str, Channel] = {}

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._channels.values()))

    @asynccontextmanager
    async def counting(self, channel: Channel) -> AsyncIterator[TaskGroup]:
        """Count a channel, as long as it is connected, while the block runs.

        Yields a task group for further tasks, which are cancelled at the end of the block.
        """
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._follow, channel)
                yield tasks
                tasks.cancel_scope.cancel()
        finally:
            await self._remove(channel)

    async def _follow(self, channel: Channel) -> None:
        with suppress(ChannelClosed):
            while True:
                await channel.wait_connected()
                self._channels[channel.id] = channel
                await self._changed()
                await channel.wait_disconnected()
                await self._remove(channel)

    async def _remove(self, channel: Channel) -> None:
        if self._channels.pop(channel.id, None):
            await self._changed()
