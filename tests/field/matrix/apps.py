"""The server behind the proxies: it answers each message with one of its own number."""

from __future__ import annotations

import os

from tests.support.apps import Application
from transport import Channel


async def _answer(app: Application, channel: Channel) -> None:
    """``report`` has the numbers that came, and how many answers went out."""
    async for message in channel:
        assert isinstance(message, dict)
        app.report.messages.append(message["number"])
        app.report.sent += 1
        answer = {"server": os.getpid(), "number": app.report.sent, "fill": message["fill"]}
        await channel.send(answer)


app = Application(_answer).build()
