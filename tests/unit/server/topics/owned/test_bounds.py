"""What a process keeps of dead writers and silent processes is bounded, and nothing escapes."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.unit.server.topics.owned.net import Net
from tests.unit.server.topics.owned.test_topics import others, owner_of, publish
from transport.bus.ranks import ranked
from transport.server.topics.owned.recipient import LEFT_OUT_AFTER, MAX_MISSED
from transport.server.topics.owned.subscriber import MAX_GONE


async def test_nothing_is_kept_of_writer_whose_entry_comes_late() -> None:
    """It dies between its publication and the owner's entry."""
    net = Net("ab")
    names = (f"w{n}" for n in range(10_000))
    for _ in range(200):
        name = next(n for n in names if ranked(b"t", ["a", "b", n])[0] in "ab")
        writer = net.join(name)
        [task] = publish(writer, name)
        await asyncio.sleep(0)
        net.kill(name)
        await net.settle()
        await asyncio.gather(task, return_exceptions=True)
    kept = [len(p.published._subscriber._writers) for p in net.processes.values()]
    assert max(kept) <= MAX_GONE + 2, kept


async def test_pipe_that_ends_inside_send_raises_nothing() -> None:
    """As a `UnixPipe` does beyond MAX_UNREAD: it ends itself inside `send`."""
    net = Net("abc")
    owner = owner_of(net)
    writer = others(net, owner)[0]
    second = net[ranked(b"t", set(net.processes) - {owner.name})[0]]
    if second is writer:
        writer = others(net, owner, second)[0]
    tasks = publish(writer, "1", "2", "3")
    await asyncio.sleep(0)
    pipe = writer.own[second.name]

    def send(item: Any) -> None:
        pipe.is_open = False

    pipe.send = send  # type: ignore[method-assign]
    net.kill(owner.name)
    net.cut(writer, second)
    await net.wait(LEFT_OUT_AFTER + 0.5)
    await asyncio.gather(*tasks)
    assert writer.got == {"t": ["1", "2", "3"]}


async def test_topics_of_left_out_process_are_bounded() -> None:
    net = Net("ab")
    stopped = net["b"]
    topics = [t for t in map(str, range(3 * MAX_MISSED)) if owner_of(net, t) is net["a"]]
    stopped.is_stopped = True
    task = asyncio.ensure_future(net["a"].published.publish(topics[0], "x"))
    await net.wait(LEFT_OUT_AFTER + 0.5)
    await task
    for topic in topics:
        await net["a"].published.publish(topic, "x")
    [recipient] = net["a"].published._owner._recipients.values()
    assert recipient._missed is not None
    assert len(recipient._missed) <= MAX_MISSED
    stopped.is_stopped = False
    await net.settle()
    assert stopped.resets == {"t": 1}  # all that it has members of
