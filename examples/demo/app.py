"""All scenes in one application. `make demo` serves it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from examples.chat.app import app as chat
from examples.cursors.app import app as cursors
from examples.demo.own_server import OwnServer
from examples.job.app import app as job
from examples.notifications.app import app as notifications
from examples.panel.site import files
from examples.prices.app import app as prices
from examples.scaled.serve import SETTINGS, missing

SCENES: dict[str, Starlette] = {
    "chat": chat,
    "notifications": notifications,
    "prices": prices,
    "cursors": cursors,
    "job": job,
}
UVICORN = ("-m", "uvicorn", *SETTINGS, "--workers", "4", "--port", "<port>")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def application(restart_server: Callable[[], None]) -> Starlette:
    """Return the application.

    Args:
        restart_server: called when a page asks for it. It must return, and the server restart soon.
    """
    own = {
        "workers": OwnServer(*UVICORN, "examples.workers.app:app"),
        "scaled": OwnServer("examples/scaled/serve.py", missing=missing),
    }

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        # Starlette does not run the lifespan of an application that is mounted.
        async with AsyncExitStack() as stack:
            for scene in SCENES.values():
                await stack.enter_async_context(scene.router.lifespan_context(scene))
            for server in own.values():
                await stack.enter_async_context(server.running())
            yield

    async def restart(request: Request) -> PlainTextResponse:
        """Restart the server if a page of its own asks for it, on this machine."""
        if not _is_from_own_page(request):
            return PlainTextResponse("only a page of this demo may ask for it", 403)
        restart_server()
        return PlainTextResponse("the server restarts")

    scenes = [Mount(f"/{name}", app=scene) for name, scene in SCENES.items()]
    others = [
        *(Route(f"/{name}/", server.redirect) for name, server in own.items()),
        Route("/restart", restart, methods=["POST"]),
    ]
    return Starlette(
        routes=[*others, *scenes, *files(__file__)],
        lifespan=lifespan,
    )


def _is_from_own_page(request: Request) -> bool:
    """Return whether the page has the origin of this server, and the client is on this machine.

    The name is compared too: a foreign domain may resolve to this machine (DNS rebinding).
    """
    origin = urlsplit(request.headers.get("origin", ""))
    return (
        origin.netloc == request.headers.get("host")
        and origin.hostname in LOOPBACK
        and request.client is not None
        and request.client.host in LOOPBACK
    )
