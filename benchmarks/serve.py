"""Serve one application with uvicorn: ``python -m benchmarks.serve module:app --port 8000``.

With ``--profile`` it writes a profile of the time between two SIGUSR1 signals when it stops.
``cpu`` takes samples; time in C code is attributed to the Python function that runs next. ``calls``
counts every call, which makes functions with many small calls look more expensive than they are.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import pstats
import signal
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

WS_SETTINGS: dict[str, Any] = {"ws_max_size": 1_048_576, "ws_per_message_deflate": False}
"""As docs/hosts.md recommends, for all peers; their clients offer no compression anyway."""

INTERVAL = 0.001
"""Seconds of CPU time between two samples, or the kernel's tick if that is longer."""


class Sampler:
    """A sampling profiler: counts the functions on the stack at intervals of CPU time."""

    def __init__(self) -> None:
        self.total = 0
        self.own: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()
        self.within: Counter[str] = Counter()

    def enable(self) -> None:
        """Start sampling."""
        signal.signal(signal.SIGPROF, self._sample)
        # Restart interrupted system calls.
        signal.siginterrupt(signal.SIGPROF, False)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)

    def disable(self) -> None:
        """Stop sampling."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _sample(self, number: int, frame: FrameType | None) -> None:
        self.total += 1
        if frame is None:
            return
        self.own[_name(frame)] += 1
        self.lines[f"{_place(frame)}:{frame.f_lineno}"] += 1
        seen = set()
        while frame is not None:
            seen.add(_name(frame))
            frame = frame.f_back
        self.within.update(seen)

    def report(self, count: int = 40) -> str:
        """Return the percentages of functions, without and with callees, then of single lines."""
        total = max(1, self.total)
        out = [f"{self.total} samples, at regular intervals of CPU time", ""]
        out.append("  own %  with calls %  function")
        for name, own in self.own.most_common(count):
            out.append(f"{own * 100 / total:7.1f} {self.within[name] * 100 / total:13.1f}  {name}")
        out += ["", "  own %  line"]
        for name, own in self.lines.most_common(count // 2):
            out.append(f"{own * 100 / total:7.1f}  {name}")
        return "\n".join(out)


def _place(frame: FrameType) -> str:
    return "/".join(Path(frame.f_code.co_filename).parts[-3:])


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{_place(frame)}:{code.co_firstlineno} {code.co_qualname}"


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("app")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--profile", choices=("cpu", "calls"))
    parser.add_argument("--out", type=Path)
    parser.add_argument(
        "--compression", action="store_true", help="accept compression, as uvicorn does by default"
    )
    arguments = parser.parse_args()
    sampler = Sampler() if arguments.profile == "cpu" else None
    calls = cProfile.Profile()
    config = uvicorn.Config(
        arguments.app,
        host="127.0.0.1",
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        log_level="warning",
        timeout_graceful_shutdown=1,
        **(WS_SETTINGS if not arguments.compression else {}),
    )
    server = uvicorn.Server(config)
    if arguments.profile:
        # uvicorn raises the signal again after its shutdown: exit by an exception instead.
        signal.signal(signal.SIGTERM, _leave)
        profile = sampler if sampler is not None else calls

        def toggle(number: int, frame: FrameType | None) -> None:
            signal.signal(signal.SIGUSR1, lambda number, frame: profile.disable())
            profile.enable()

        signal.signal(signal.SIGUSR1, toggle)
    try:
        server.run()
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        calls.disable()
        if sampler is not None:
            arguments.out.write_text(sampler.report())
        elif arguments.profile:
            text = io.StringIO()
            pstats.Stats(calls, stream=text).sort_stats("tottime").print_stats(50)
            arguments.out.write_text(text.getvalue())


if __name__ == "__main__":
    main()
