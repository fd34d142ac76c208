"""Channels whose sessions are in Redis. `serve.py` runs this with all that it needs.

Alone: `REDIS_URL=redis://localhost:6379 uvicorn app:app --app-dir examples/scaled --workers 4`
"""

import os
import signal
import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

sys.path.append(str(Path(__file__).parents[2]))  # so that `examples` is found if it runs alone
from examples.panel.site import files
from examples.panel.worker import TellEdge, may_kill
from transport import Channel, Hub, RedisStore


async def count(channel: Channel) -> None:
    """Answer each number, and say which worker does: the home of the session."""
    # After a kill this begins again in another worker, with the same session: `channel.resumed`.
    await channel.send({"home": os.getpid(), "mayKill": may_kill(channel)})
    async for message in channel:
        match message:
            case {"n": int(n)}:
                await channel.send({"n": n, "home": os.getpid()})
            # A message that was in a killed handler's hand is handed out again, by the next home.
            # This one names the worker that it means, or it would kill that one too.
            case {"kill": int(worker)} if worker == os.getpid() and may_kill(channel):
                os.kill(worker, signal.SIGKILL)
            case _:
                pass


store = RedisStore(os.environ.get("REDIS_URL", "redis://localhost:6379"), prefix="scaled:")
hub = Hub(count, store=store)
routes = [Mount("/channel", app=TellEdge(hub)), *files(__file__)]
app = Starlette(routes=routes, lifespan=hub.lifespan)
