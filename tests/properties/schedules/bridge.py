"""`Bridge`: a Node process that holds cores of clients in TypeScript, called over pipes.

`client_js/test/bridge.ts` is the other end. A call is synchronous, and brings its ``now``: the
process has no clock and no turns of its own.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import msgspec

CLIENT_JS = Path(__file__).parents[3] / "client_js"
SOURCE = Path("test") / "bridge.ts"
CALL_TIMEOUT = 20.0
"""Seconds for a call. Each takes some microseconds, unless a core runs in a circle."""


class CoreFailed(Exception):
    """A core threw, or did not return."""


class Bridge:
    """A process of cores. It starts with the first call, and again after a call that failed.

    Args:
        bundle: the bundled `bridge.ts`.
    """

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: list[Sequence[Any]] = []
        self._cores = 0
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder().decode

    def new_core(self) -> int:
        """Return a number for one more core."""
        self._cores += 1
        return self._cores

    def queue(self, call: Sequence[Any]) -> None:
        """Make a call that has no result, at the latest together with the next one."""
        self._waiting.append(call)

    def call(self, call: Sequence[Any]) -> tuple[Any, dict[str, Any]]:
        """Make a call: the number of a core, a method, its arguments.

        Returns:
            The result, and the marks of the core.

        Raises:
            CoreFailed: the core threw, or did not return in `CALL_TIMEOUT` seconds.
        """
        calls, self._waiting = self._waiting, []
        answer = self._decode(self._exchange(self._encode([*calls, call]) + b"\n"))
        if isinstance(answer, dict):
            raise CoreFailed(answer["error"])
        result, marks = answer
        return result, marks

    def stop(self) -> None:
        """End the process, and every core in it."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _exchange(self, line: bytes) -> bytes:
        """Write a line, and return the line that answers it."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line)
        output = process.stdout.fileno()
        poll = select.poll()
        poll.register(output, select.POLLIN)
        chunks: list[bytes] = []
        while not chunks or not chunks[-1].endswith(b"\n"):
            chunk = os.read(output, 1 << 20) if poll.poll(CALL_TIMEOUT * 1000) else b""
            if not chunk:
                self.stop()
                raise CoreFailed(f"no answer to {line[:1000]!r}")
            chunks.append(chunk)
        return b"".join(chunks)

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["node", "--enable-source-maps", self._bundle],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )


@contextmanager
def running_bridge(bundle: Path) -> Iterator[Bridge]:
    """Return a bridge that is stopped at the end."""
    bridge = Bridge(bundle)
    try:
        yield bridge
    finally:
        bridge.stop()


@contextmanager
def built_bridge() -> Iterator[Bridge]:
    """Bundle the sources as they are, and return a bridge of that."""
    (CLIENT_JS / ".build").mkdir(exist_ok=True)
    folder = Path(mkdtemp(prefix="bridge-", dir=CLIENT_JS / ".build"))
    try:
        bundle([CLIENT_JS / SOURCE], CLIENT_JS / "test", folder)
        with running_bridge(folder / "bridge.mjs") as bridge:
            yield bridge
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bundle(entries: Sequence[Path], base: Path, folder: Path) -> None:
    """Bundle scripts for Node, which cannot run TypeScript.

    Args:
        entries: the scripts.
        base: a folder that contains all of them.
        folder: where the bundles go: ``.mjs`` files at the same paths as below `base`.
    """
    esbuild = CLIENT_JS / "node_modules" / ".bin" / "esbuild"
    options = ["--bundle", "--format=esm", "--platform=node", "--target=node20"]
    outputs = [f"--outbase={base}", f"--outdir={folder}", "--out-extension:.js=.mjs"]
    subprocess.run(
        [esbuild, *entries, *options, *outputs, "--sourcemap=inline", "--log-level=warning"],
        check=True,
        cwd=CLIENT_JS,
    )
