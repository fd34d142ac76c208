"""The errors of calls that are made in another thread or event loop than the hub's.

Most of them would seem to work: late, as nothing wakes the hub's loop, and now and then not at all.
A channel compares the thread, because that costs a third of asking for the running loop (40 against
140 ns with Python 3.11), and a thread runs one loop at a time. A hub and a group compare the loop.
"""

from __future__ import annotations

import asyncio
import threading


def wrong_thread(call: str, arguments: str = "", *, is_async: bool = True) -> RuntimeError:
    """Return the error of a call in another thread or loop, which says what to write.

    Args:
        call: the function, as a caller writes it: ``hub.broadcast``.
        arguments: its arguments, likewise.
        is_async: whether it is awaited.
    """
    rest = f", {arguments}" if arguments else ""
    if is_async:
        worker = f"anyio.from_thread.run({call}{rest})"
        other = f"asyncio.run_coroutine_threadsafe({call}({arguments}), loop)"
    else:
        worker = f"anyio.from_thread.run_sync({call}{rest})"
        other = f"loop.call_soon_threadsafe({call}{rest})"
    return RuntimeError(
        f"{call}() was called in another thread or event loop than the hub's, and did nothing. In "
        f"a worker thread of anyio, as in a plain `def` endpoint of FastAPI, write {worker}. In "
        f"any other thread write {other}, with the loop that serves the hub"
    )


def second_loop(first: asyncio.AbstractEventLoop, thread: int) -> RuntimeError:
    """Return the error of a request in a second event loop while the first is running.

    Args:
        first: the loop that serves the hub.
        thread: the identifier of its thread.
    """
    second = _described(asyncio.get_running_loop(), threading.get_ident())
    return RuntimeError(
        f"this hub already serves in {_described(first, thread)}, and was called in {second}. Its "
        "sessions belong to the first one, and go on there. In tests write `with TestClient(app) "
        "as client:`, so that all requests share one loop. If the process runs several servers, "
        "make one hub for each server"
    )


def _described(loop: asyncio.AbstractEventLoop, thread: int) -> str:
    names = [each.name for each in threading.enumerate() if each.ident == thread]
    kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
    return f"the event loop <{kind} {id(loop):#x}> of thread {names[0] if names else thread!r}"
