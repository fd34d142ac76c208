"""Serve this scene: a Redis of its own, nginx, and behind it two servers with two workers each.

    python examples/scaled/serve.py

`PORT` sets its port, and `REDIS_URL` names a Redis that runs already. Without nginx there is one
server with four workers.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
HOST = "127.0.0.1"
SETTINGS = ("--ws-max-size", "1048576", "--ws-per-message-deflate", "false", "--no-access-log")


def find(program: str) -> str | None:  # a server is often not in the path of a user
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def missing() -> str | None:
    """Return what has to be installed first, in words."""
    if not (find_spec("redis") and find_spec("uvicorn")):
        return "redis-py or uvicorn is missing: pip install 'onechannel[redis]' 'uvicorn[standard]'"
    if not (os.environ.get("REDIS_URL") or find("redis-server")):
        return "redis-server is missing: apt install redis-server; or set REDIS_URL to that of one"
    return None


def start(processes: ExitStack, listening: dict[int, list[str]]) -> None:
    """Run programs until the end, and return once each listens on its port."""
    # Redis writes a banner to its standard output.
    started = [subprocess.Popen(one, stdout=subprocess.DEVNULL) for one in listening.values()]
    for end in (subprocess.Popen.wait, subprocess.Popen.terminate):  # called in reverse
        for process in started:
            processes.callback(end, process)
    deadline = time.monotonic() + 30
    while not all(map(accepts, listening)):
        if time.monotonic() > deadline:
            raise SystemExit(f"nothing listens on one of the ports {list(listening)}")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return not probe.connect_ex((HOST, port))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def main(processes: ExitStack) -> None:
    if problem := missing():
        raise SystemExit(problem)
    folder = processes.enter_context(tempfile.TemporaryDirectory())
    if not os.environ.get("REDIS_URL"):
        at = free_port()
        options = [f"{HERE}/redis.conf", "--port", str(at), "--dir", folder]
        start(processes, {at: [str(find("redis-server")), *options]})
        os.environ["REDIS_URL"] = f"redis://{HOST}:{at}"
    port, nginx = int(os.environ.get("PORT") or free_port()), find("nginx")
    ports = [free_port(), free_port()] if nginx else [port]
    workers = ("--app-dir", str(HERE), "--workers", str(4 // len(ports)), *SETTINGS)
    uvicorn = [sys.executable, "-m", "uvicorn", "app:app", *workers]
    start(processes, {one: [*uvicorn, "--port", str(one)] for one in ports})
    if nginx:
        text = (HERE / "nginx.conf").read_text("utf-8").replace("<port>", str(port))
        text = text.replace("<one>", str(ports[0])).replace("<other>", str(ports[1]))
        (Path(folder) / "nginx.conf").write_text(text, "utf-8")
        start(processes, {port: [nginx, "-p", folder, "-c", "nginx.conf", "-e", "stderr"]})
    print(f"Scaled: http://{HOST}:{port}/  (Ctrl-C stops it)", flush=True)
    signal.pause()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        main(stack)
