"""Serve the chat example with uvicorn, and print its URL.

The environment variable `PORT` sets the port. The default is 8000, or a free port if 8000 is in
use.
"""

import os
import socket
import sys

HOST = "127.0.0.1"
UVICORN_OPTIONS = ["--ws-max-size", "1048576", "--ws-per-message-deflate", "false"]
"""See docs/hosts.md, "Settings of the server"."""
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
    port = os.environ.get("PORT") or str(free_port())
    print(f"Chat: http://{HOST}:{port}/  (open it in two tabs; Ctrl-C stops it)", flush=True)
    command = [sys.executable, "-m", "uvicorn", "examples.chat.app:app"]
    os.execv(sys.executable, [*command, "--host", HOST, "--port", port, *UVICORN_OPTIONS])


if __name__ == "__main__":
    main()
