"""Servers with several worker processes.

host, arguments = workers("uvicorn", 2)
async with serving("tests.support.apps:echo", *arguments, host=host) as server:
    ...  # both workers are ready
"""

from __future__ import annotations

from dataclasses import replace

from tests.support.servers.uvicorn import GRANIAN, GUNICORN, HYPERCORN, UVICORN, Host

_STARTED = "Application startup complete"

_HOSTS = {
    "uvicorn": replace(UVICORN, ready=_STARTED),
    "gunicorn": replace(GUNICORN, ready=_STARTED),
    "hypercorn": HYPERCORN,
    "granian": GRANIAN,
}
"""Each server; its line ``ready`` is one that each worker writes."""

NAMES = tuple(_HOSTS)


def workers(name: str, count: int) -> tuple[Host, list[str]]:
    """Return a server, and its arguments for several workers.

    Args:
        name: of the server, and further arguments behind it, as in "gunicorn --preload".
        count: of the workers.
    """
    host, *more = name.split()
    arguments = ["--workers", str(count), *more]
    if host == "uvicorn":
        # By default it kills a worker that does not answer for 5 s, as on a busy machine.
        arguments += ["--no-access-log", "--timeout-worker-healthcheck", "20"]
    return replace(_HOSTS[host], processes=count), arguments
