"""Long poll: frames as answers to polls (PROTOCOL.md section 10)."""

from __future__ import annotations

from transport.client.adapters.ports import Wiring
from transport.client.adapters.post import exchange, post
from transport.protocol.client.events import Output, Request


class LongPollAdapter:
    """Sends ``open`` and each poll as a POST to ``poll``, the uplink as other POSTs (POL-1)."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def send(self, output: Output) -> None:
        if output.request is Request.POST:
            self._wiring.linger(post, self._wiring, output)
        else:
            self._wiring.spawn(exchange, self._wiring, "poll", output)

    def finish(self) -> None:
        """Do nothing: each request ends by itself."""
