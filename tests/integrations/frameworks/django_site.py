"""A Django site with Channels, as its documentation has it, whose WebSockets a hub serves.

`application` is what a project has in ``asgi.py``. ``/site/login`` logs a user in; ``/report`` has
what the consumers have seen.
"""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="of the tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "channels",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": "file:django_site?mode=memory&cache=shared",
        }
    },
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    USE_TZ=True,
)
django.setup()

# Only a configured Django can import these.
from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.generic.websocket import (  # noqa: E402
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.contrib.auth import authenticate, get_user_model, login  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

call_command("migrate", verbosity=0)
get_user_model().objects.create_user("ann", password="of the tests")

seen: dict[str, dict[str, Any]] = {}


def note(name: str) -> dict[str, Any]:
    return seen.setdefault(name, {"connects": 0, "received": [], "disconnects": []})


# The project: consumers, views, and asgi.py


class Echo(WebsocketConsumer):  # type: ignore[misc, unused-ignore]
    """A synchronous consumer."""

    def connect(self) -> None:
        self.name = self.scope["url_route"]["kwargs"]["name"]
        note(self.name)["connects"] += 1
        self.accept()

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        note(self.name)["received"].append(text_data)
        if bytes_data is not None:
            self.send(bytes_data=bytes_data)
        else:
            self.send(text_data=f"{self.scope['query_string'].decode()}:{text_data}")

    def disconnect(self, code: int) -> None:
        note(self.name)["disconnects"].append(code)


class Room(AsyncWebsocketConsumer):  # type: ignore[misc, unused-ignore]
    """The chat room of the tutorial: what one says reaches all, through the channel layer."""

    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        note(self.room)["connects"] += 1
        await self.accept()

    async def disconnect(self, code: int) -> None:
        note(self.room)["disconnects"].append(code)
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        note(self.room)["received"].append(text_data)
        await self.channel_layer.group_send(self.room, {"type": "room.said", "text": text_data})

    async def room_said(self, event: dict[str, Any]) -> None:
        await self.send(text_data=f"said:{event['text']}")


class Private(AsyncJsonWebsocketConsumer):  # type: ignore[misc, unused-ignore]
    """Greets a user who has logged in, and denies others."""

    async def connect(self) -> None:
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close()
            return
        await self.accept("private.v1" if self.scope["subprotocols"] else None)
        await self.send_json({"user": user.username, "visits": self.scope["session"]["visits"]})

    async def receive_json(self, content: Any) -> None:
        await self.close(code=4000 + content["code"])


def _login(request: HttpRequest) -> HttpResponse:
    login(request, authenticate(request, username="ann", password="of the tests"))
    request.session["visits"] = 3
    return HttpResponse(status=204)


urlpatterns = [
    path("site/login", _login),
    path("report", lambda request: JsonResponse(seen)),
]

application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                URLRouter(
                    [
                        path("echo/<name>", Echo.as_asgi()),
                        path("rooms/<room>", Room.as_asgi()),
                        path("private", Private.as_asgi()),
                    ]
                )
            )
        ),
    }
)

# What is new: a hub serves the WebSockets, below /ws.
from starlette.applications import Starlette  # noqa: E402
from starlette.routing import Mount  # noqa: E402

from transport import Hub, as_websocket  # noqa: E402

hub = Hub(as_websocket(application))
app = Starlette(routes=[Mount("/ws", app=hub), Mount("/", app=application)], lifespan=hub.lifespan)
