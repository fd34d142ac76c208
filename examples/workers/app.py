"""A room with four workers. Alone: `uvicorn app:app --app-dir examples/workers --workers 4`."""

import os
import signal
import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import Mount

sys.path.append(str(Path(__file__).parents[2]))  # so that `examples` is found if it runs alone
from examples.panel.site import files
from examples.panel.worker import TellEdge, may_kill
from transport import Channel, Hub, Workers


async def room(channel: Channel) -> None:
    """Serve one guest, in the home of its session."""
    await channel.send({"home": os.getpid(), "mayKill": may_kill(channel)})
    await lobby.add(channel)
    number = 0
    async for message in channel:
        match message:
            case {"text": str(text)}:
                number += 1
                await lobby.send({"from": channel.id, "n": number, "text": text[:200]})
            case "kill" if may_kill(channel):
                os.kill(os.getpid(), signal.SIGKILL)
            case _:
                pass


hub = Hub(room, store=Workers())
lobby = hub.group("lobby")
routes = [Mount("/channel", app=TellEdge(hub)), *files(__file__)]
app = Starlette(routes=routes, lifespan=hub.lifespan)
