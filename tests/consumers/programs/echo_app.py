"""An application with a hub that echoes."""

from starlette.applications import Starlette
from starlette.routing import Mount

from transport import Channel, Hub


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


hub = Hub(echo)
app = Starlette(routes=[Mount("/chat", app=hub)], lifespan=hub.lifespan)
