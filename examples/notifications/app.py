"""Notifications, to a user. Alone: `uvicorn app:app --app-dir examples/notifications`."""

import hmac
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
from fastapi import Body, FastAPI, HTTPException, Request, Response
from starlette.requests import HTTPConnection

sys.path.append(str(Path(__file__).parents[2]))  # so that `examples` is found if it runs alone
from examples.panel.numbers import Numbers
from examples.panel.plain import PlainSockets
from examples.panel.site import files
from transport import Channel, Hub, Identity

User = Literal["Ann", "Ben"]
Text = Annotated[str, Body(embed=True, max_length=200)]
# In the environment, so that users remain signed in when the demo's server restarts.
SECRET = os.environ.setdefault("NOTIFICATIONS_SECRET", secrets.token_hex(16)).encode()

numbers = {"Ann": Numbers(), "Ben": Numbers()}


def signed(user: str) -> str:
    return f"{user}.{hmac.new(SECRET, user.encode(), 'sha256').hexdigest()}"


def user_of(connection: HTTPConnection) -> str | None:
    """Return the user that is signed in, by the cookie of a request or a WebSocket."""
    cookie = connection.cookies.get("notifications", "").encode()
    return next(
        (user for user in numbers if hmac.compare_digest(cookie, signed(user).encode())), None
    )


async def authenticate(connection: HTTPConnection, credentials: object) -> Identity | None:
    user = user_of(connection)
    return Identity(subject=user, user=user) if user else None


async def inbox(channel: Channel) -> None:
    """Serve one page of a user, which only listens."""
    await channel.send(numbers[channel.user].hello())
    await hub.group(channel.user).add(channel)
    await channel.wait_closed()


async def tell(user: str, message: dict[str, Any]) -> None:
    """Send to all pages of a user."""
    message = numbers[user].number(message)
    plain.send(message, user)
    await hub.group(user).send(message)


hub = Hub(inbox, authenticate=authenticate)
plain = PlainSockets(lambda user: [numbers[user].hello()], user_of)
app = FastAPI(lifespan=hub.lifespan)
app.mount("/channel", hub)
app.add_api_websocket_route("/plain", plain.serve)


@app.get("/user")
def get_user(request: Request) -> str | None:
    return user_of(request)


@app.post("/sign-in/{user}")
def sign_in(user: User, response: Response) -> None:
    response.set_cookie("notifications", signed(user), httponly=True, samesite="strict")


@app.post("/notify/{user}")
def notify(user: User, text: Text, request: Request) -> None:
    """Notify a user: a plain `def` endpoint, which FastAPI runs in a worker thread."""
    sender = user_of(request)
    if sender is None:
        raise HTTPException(401)
    anyio.from_thread.run(tell, user, {"sender": sender, "text": text, "at": time.time()})


app.router.routes.extend(files(__file__))
