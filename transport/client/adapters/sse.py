"""Server-sent events: frames as events of a stream (PROTOCOL.md section 9)."""

from __future__ import annotations

import codecs

import httpx

from transport.client.adapters.ports import Wiring
from transport.client.adapters.post import exchange, network, post
from transport.limits import MAX_FRAME_SIZE
from transport.protocol.client.events import FrameReceived, Output, Request
from transport.protocol.event_stream import EventParser


class EventStreamAdapter:
    """Reads the stream that answers ``open``, and sends the uplink as POSTs (SSE-1)."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def send(self, output: Output) -> None:
        if output.request is Request.OPEN:
            self._wiring.spawn(exchange, self._wiring, "sse", output, self._read)
        else:
            self._wiring.linger(post, self._wiring, output)

    def finish(self) -> None:
        """Do nothing: the server ends the stream, and POSTs end by themselves."""

    async def _read(self, response: httpx.Response) -> None:
        # A chunk may end within a character.
        decoder = codecs.getincrementaldecoder("utf-8")()
        parser = EventParser(MAX_FRAME_SIZE)
        chunks = response.aiter_bytes()
        while True:
            with network(self._wiring.destination):
                chunk = await anext(chunks, None)
                frames = [] if chunk is None else parser.feed(decoder.decode(chunk))
            for frame in frames:
                self._wiring.report(FrameReceived(frame))
            if chunk is None:
                return
