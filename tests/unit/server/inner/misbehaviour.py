"""Applications that send and receive in an unusual order, as scripts of steps.

`app` serves them as they are; ``GET /trace?name=...`` says what became of each step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

RECEIVE = "receive"
RETURN = "return"
Step = str | Message | Callable[[], None]
"""To receive, to return, an event to send, or a function that raises."""

ACCEPT: Message = {"type": "websocket.accept"}
CLOSE: Message = {"type": "websocket.close", "code": 4000, "reason": "over"}


def said(**fields: Any) -> Message:
    return {"type": "websocket.send", **fields}


def closed(**fields: Any) -> Message:
    return {"type": "websocket.close", **fields}


def denied(status: int) -> Message:
    return {"type": "websocket.http.response.start", "status": status, "headers": []}


BODY: Message = {"type": "websocket.http.response.body", "body": b"no"}


class Code(IntEnum):
    OWN = 4003


class Markup(str):
    """As Django's `SafeString` and `markupsafe.Markup`: its `str()` is itself."""

    __slots__ = ()

    def __str__(self) -> str:
        return self


def fail() -> None:
    raise KeyError("mine")


def cancel() -> None:
    raise asyncio.CancelledError


@dataclass(frozen=True, slots=True)
class Script:
    """What an application does, and what becomes of it.

    Attributes:
        steps: what it does, in this order. An exception of a `receive` or a `send` does not end it.
        trace: the outcome of each step: "ok", the kind of an exception, or what was received.
        end: how the connection ends for the client: its code, or the status of a denial.
        received: what the client receives.
        client: what the client sends, once it is open.
        closes: the code with which the client then closes, or None.
        hub: the outcomes that differ below a hub, by the number of the step. The documentation
            names each of these differences.
        hub_end: the end below a hub, if it differs.
    """

    steps: list[Step]
    trace: list[str]
    end: int
    received: list[str | bytes] = field(default_factory=list)
    client: list[str] = field(default_factory=list)
    closes: int | None = None
    hub: dict[int, str] = field(default_factory=dict)
    hub_end: int | None = None


OK, CONNECT, RUNTIME, GONE, ERROR = "ok", "connect", "RuntimeError", "OSError", "error"

SCRIPTS = {
    "send before accept": Script([said(text="x"), ACCEPT, closed()], [RUNTIME, OK, OK], end=1000),
    "accept twice": Script([RECEIVE, ACCEPT, ACCEPT, CLOSE], [CONNECT, OK, RUNTIME, OK], end=4000),
    "accept before connect": Script([ACCEPT, RECEIVE, CLOSE], [OK, CONNECT, OK], end=4000),
    "anything after close": Script(
        [ACCEPT, CLOSE, said(text="x"), CLOSE, ACCEPT], [OK, OK, *[RUNTIME] * 3], end=4000
    ),
    "receive after close": Script(
        [RECEIVE, ACCEPT, CLOSE, RECEIVE], [CONNECT, OK, OK, "disconnect 4000 over"], end=4000
    ),
    "receive after a denial": Script(
        [RECEIVE, CLOSE, RECEIVE], [CONNECT, OK, "disconnect 1006 "], end=403
    ),
    "denial response": Script(
        [RECEIVE, denied(429), {**BODY, "more_body": True}, BODY, RECEIVE],
        [CONNECT, OK, OK, OK, "disconnect 1006 "],
        end=429,
    ),
    "denial with an enum": Script([denied(HTTPStatus.GONE), BODY], [OK, OK], end=410),
    "denial without HTTP status": Script(
        [denied(99), denied(600), ACCEPT, CLOSE], [RUNTIME, RUNTIME, OK, OK], end=4000
    ),
    "accept during a denial": Script([denied(418), ACCEPT, BODY], [OK, RUNTIME, OK], end=418),
    "unknown event": Script(
        [{"type": "x"}, ACCEPT, {"type": "x"}, CLOSE], [RUNTIME, OK, RUNTIME, OK], end=4000
    ),
    "text, bytes and None": Script(
        [
            ACCEPT,
            said(text="t", bytes=None),
            said(text=None, bytes=b"b"),
            said(text="t", bytes=b"both"),
            said(bytes=bytearray(b"a")),
            said(bytes=memoryview(b"m")),
            said(text=""),
            said(bytes=b""),
            said(text=Markup("<b>")),
            CLOSE,
        ],
        [OK] * 10,
        received=["t", b"b", b"both", b"a", b"m", "", b"", "<b>"],
        end=4000,
    ),
    "neither text nor bytes": Script(
        [ACCEPT, said(), said(text=None, bytes=None), CLOSE],
        [OK] * 4,
        hub={1: ERROR, 2: ERROR},
        end=4000,
    ),
    "text of another type": Script(
        [ACCEPT, said(text=b"x"), said(text=7), said(bytes=7), said(text="\ud800"), CLOSE],
        [OK, *[ERROR] * 4, OK],
        end=4000,
    ),
    "code as an enum": Script([ACCEPT, closed(code=Code.OWN)], [OK, OK], end=4003),
    "close without reason": Script([ACCEPT, closed(code=4004, reason=None)], [OK, OK], end=4004),
    "code that nobody may send": Script(
        [ACCEPT, closed(code=1005), closed(code=999), CLOSE], [OK, ERROR, ERROR, OK], end=4000
    ),
    "exception before accept": Script([RECEIVE, fail], [CONNECT, ERROR], end=500),
    "exception after accept": Script([ACCEPT, fail], [OK, ERROR], end=1006, hub_end=1011),
    "cancelled before accept": Script([RECEIVE, cancel], [CONNECT, ERROR], end=500),
    "cancelled after accept": Script([ACCEPT, cancel], [OK, ERROR], end=1006, hub_end=1011),
    "return before accept": Script([RECEIVE, RETURN], [CONNECT, OK], end=500),
    "return during a denial": Script([denied(418), RETURN], [OK, OK], end=1006, hub_end=500),
    "return after accept": Script([ACCEPT, RETURN], [OK, OK], end=1006, hub_end=1011),
    "send after a disconnect": Script(
        [RECEIVE, ACCEPT, RECEIVE, RECEIVE, RECEIVE, said(text="x")],
        [CONNECT, OK, "a", "b", "disconnect 4001 ", GONE],
        client=["a", "b"],
        closes=4001,
        end=4001,
    ),
    "exception after a disconnect": Script(
        [RECEIVE, ACCEPT, RECEIVE, fail],
        [CONNECT, OK, "disconnect 4001 ", ERROR],
        closes=4001,
        end=4001,
    ),
}

traces: dict[str, list[str]] = {}


async def scripted(scope: Scope, receive: Receive, send: Send) -> None:
    """Run the script that the query names."""
    name = unquote(scope["query_string"])
    trace = traces[name] = []
    for step in SCRIPTS[name].steps:
        if step == RETURN:
            trace.append(OK)
            return
        if callable(step):
            trace.append(ERROR)
            step()
            continue
        try:
            if isinstance(step, str):
                trace.append(_shown(await receive()))
            else:
                await send(step)
                trace.append(OK)
        except OSError:
            trace.append(GONE)
        except RuntimeError:
            trace.append(RUNTIME)
        except Exception:  # noqa: BLE001 - the test asks only whether there was one
            trace.append(ERROR)


def _shown(event: Message) -> str:
    match event["type"]:
        case "websocket.connect":
            return CONNECT
        case "websocket.disconnect":
            return f"disconnect {event['code']} {event.get('reason') or ''}"
        case _:
            return str(event.get("text") or event["bytes"])


async def _trace(request: Request) -> JSONResponse:
    return JSONResponse(traces.get(request.query_params["name"], []))


app = Starlette(routes=[Route("/trace", _trace), Mount("/", app=scripted)])
