"""The server behind the proxies: it answers each message with a numbered message of its own."""

from __future__ import annotations

import os

from tests.support.apps import Application
from transport import Channel


async def _answer(app: Application, channel: Channel) -> None:
    """Echo; ``report`` returns the numbers received, and how many answers were sent."""
    async for message in channel:
        assert isinstance(message, dict)
        app.report.messages.append(message["number"])
        app.report.sent += 1
        answer = {"server": os.getpid(), "number": app.report.sent, "fill": message["fill"]}
        await channel.send(answer)


app = Application(_answer).build()
