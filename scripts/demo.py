"""Serve the demo with uvicorn, print its URL, and restart the server if a page asks for it.

The environment variable `PORT` sets the port. The default is 8000, or a free port if 8000 is in
use.
"""

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn

sys.path.insert(0, str(Path(__file__).parents[1]))
from examples.demo.app import application

HOST = "127.0.0.1"
WEBSOCKET_SETTINGS: dict[str, Any] = {"ws_max_size": 1_048_576, "ws_per_message_deflate": False}
"""See docs/hosts.md, "Settings of the server"."""
SHUTDOWN_TIMEOUT = 5
"""Seconds that a restart waits for answers to be written."""
DEFAULT_PORT = 8000


def free_port() -> int:
    """Return the default port, or another one if that is in use."""
    for port in (DEFAULT_PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit(f"no free port on {HOST}")


def main() -> None:
    port = int(os.environ.get("PORT") or free_port())
    should_restart = False

    def restart() -> None:
        nonlocal should_restart
        should_restart = server.should_exit = True

    server = uvicorn.Server(
        uvicorn.Config(
            application(restart),
            host=HOST,
            port=port,
            timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
            **WEBSOCKET_SETTINGS,
        )
    )
    print(f"Demo: http://{HOST}:{port}/  (Ctrl-C stops it)", flush=True)
    with suppress(KeyboardInterrupt):
        server.run()
    if should_restart:
        # A new program in this process: nothing of the old one is left, and no child to watch.
        os.environ["PORT"] = str(port)
        os.execv(sys.executable, [sys.executable, *sys.argv])


if __name__ == "__main__":
    main()
