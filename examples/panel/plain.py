"""Plain WebSockets, served as many services do: what is sent reaches the sockets that are open."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from starlette.websockets import WebSocket, WebSocketDisconnect

QUEUE = 1000
"""Messages that may wait for one socket, as for a channel (`Limits.window_messages`)."""


class PlainSockets:
    """The open sockets of a scene, by topic.

    Args:
        greet: returns what a new socket of a topic is sent first.
        topic: returns the topic of a socket, or None to refuse it.
    """

    def __init__(
        self,
        greet: Callable[[str], Iterable[Any]],
        topic: Callable[[WebSocket], str | None] = lambda socket: "everyone",
    ) -> None:
        self._greet = greet
        self._topic = topic
        self._queues: defaultdict[str, set[MemoryObjectSendStream[Any]]] = defaultdict(set)

    def send(self, message: Any, topic: str = "everyone") -> None:
        """Send to every open socket of the topic. A socket that does not keep up is closed."""
        for queue in list(self._queues.get(topic, ())):
            try:
                queue.send_nowait(message)
            except anyio.WouldBlock:
                queue.close()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one socket, until its page has closed it. An endpoint of Starlette and FastAPI."""
        topic = self._topic(socket)
        if topic is None:
            await socket.close(1008)
            return
        await socket.accept()
        queue, messages = anyio.create_memory_object_stream[Any](QUEUE)
        for message in self._greet(topic):
            queue.send_nowait(message)
        self._queues[topic].add(queue)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_write, socket, messages)
                while (await socket.receive())["type"] != "websocket.disconnect":
                    pass
                tasks.cancel_scope.cancel()
        finally:
            self._queues[topic].discard(queue)
            if not self._queues[topic]:
                del self._queues[topic]
            queue.close()
            messages.close()


async def _write(socket: WebSocket, messages: Any) -> None:
    try:
        async for message in messages:
            await socket.send_json(message)
        await socket.close(1013)
    except (WebSocketDisconnect, RuntimeError):
        pass  # it has just been closed
