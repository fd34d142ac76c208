"""An application that answers ``GET /page`` with the HTML and the policy of the query.

A document that playwright answers itself is of no network, and may not connect to loopback.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.support.apps import echo


async def _page(request: Request) -> Response:
    policy = request.query_params["policy"]
    headers = {"content-security-policy": policy, "cache-control": "no-store"}
    return HTMLResponse(request.query_params["html"], headers=headers)


echo.routes.insert(0, Route("/page", _page))
app = echo
