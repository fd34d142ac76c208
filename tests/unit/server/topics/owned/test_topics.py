"""Publications reach the members in each process once, and in one order."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.server.topics.owned.net import Net, Process
from transport.bus.ranks import ranked
from transport.server.topics.owned.recipient import LEFT_OUT_AFTER
from transport.server.topics.owned.writer import PASSED_OVER_AFTER


def owner_of(net: Net, topic: str = "t") -> Process:
    """Return the owner of a topic."""
    return net[ranked(topic.encode(), net.processes)[0]]


def others(net: Net, *excluded: Process) -> list[Process]:
    return [each for each in net.processes.values() if each not in excluded]


def publish(process: Process, *messages: str) -> list[asyncio.Task[None]]:
    """Publish messages at once, in this order."""
    return [asyncio.ensure_future(process.published.publish("t", each)) for each in messages]


async def test_publication_returns_when_every_process_has_it() -> None:
    net = Net("abc")
    writer = others(net, owner_of(net))[0]
    [task] = publish(writer, "x")
    await asyncio.sleep(0)
    while pipes := net.pipes():
        assert not task.done()
        await net.deliver(pipes[0])
    await asyncio.sleep(0)
    assert task.done()
    assert [each.got for each in net.processes.values()] == [{"t": ["x"]}] * 3


async def test_process_alone_takes_its_publication_at_once() -> None:
    net = Net("a")
    await net["a"].published.publish("t", "x")
    assert net["a"].got == {"t": ["x"]}


async def test_publications_of_two_writers_have_one_order() -> None:
    net = Net("abc")
    one, two = others(net, owner_of(net))
    tasks = [*publish(one, "1", "2", "3"), *publish(two, "x", "y", "z")]
    await net.settle()
    await asyncio.gather(*tasks)
    orders = [each.got.get("t", []) for each in net.processes.values()]
    assert orders == [orders[0]] * 3
    assert sorted(map(str, orders[0])) == ["1", "2", "3", "x", "y", "z"]


@pytest.mark.parametrize("delivered", range(12))
async def test_owner_that_dies_loses_and_doubles_nothing(delivered: int) -> None:
    """Wherever it is cut off: what was not answered is sent again, in order."""
    net = Net("abcd")
    owner = owner_of(net)
    writer = others(net, owner)[0]
    tasks = publish(writer, "1", "2", "3")
    await asyncio.sleep(0)
    for _ in range(delivered):
        if pipes := net.pipes():
            await net.deliver(pipes[-1])
    net.kill(owner.name)
    await net.settle()
    await asyncio.gather(*tasks)
    assert [each.got["t"] for each in net.processes.values()] == [["1", "2", "3"]] * 3
    assert [each.resets for each in net.processes.values()] == [{}] * 3


async def test_silent_owner_is_passed_over_and_doubles_nothing() -> None:
    net = Net("abc")
    owner = owner_of(net)
    writer, reader = others(net, owner)
    owner.is_stopped = True
    tasks = publish(writer, "1", "2")
    await net.wait(PASSED_OVER_AFTER + LEFT_OUT_AFTER + 1)
    await asyncio.gather(*tasks)
    assert reader.got == writer.got == {"t": ["1", "2"]}
    owner.is_stopped = False  # it passes on what it was given then
    await net.settle()
    assert reader.got == writer.got == {"t": ["1", "2"]}
    tasks = publish(writer, "3")
    await net.settle()
    await asyncio.gather(*tasks)
    assert reader.got == writer.got == {"t": ["1", "2", "3"]}
    assert owner.got["t"][-1:] == ["3"]
    assert (owner.resets, reader.resets) == ({"t": 1}, {})


async def test_many_silent_processes_delay_a_writer_once() -> None:
    net = Net("abcdef")
    writer = net[ranked(b"t", net.processes)[-1]]
    for other in others(net, writer):
        other.is_stopped = True
    [task] = publish(writer, "1")
    await net.wait(PASSED_OVER_AFTER + LEFT_OUT_AFTER + 1)
    assert task.done()


async def test_stopped_process_is_left_out_and_reset_later() -> None:
    """The others do not wait for it a second time; its members are reset, not left with a gap."""
    net = Net("abc")
    owner = owner_of(net)
    writer, stopped = others(net, owner)
    stopped.is_stopped = True
    tasks = publish(writer, "1")
    await net.wait(LEFT_OUT_AFTER)
    assert not tasks[0].done()
    await net.wait(0.5)
    assert tasks[0].done()
    tasks += publish(writer, "2")
    await net.settle()
    assert tasks[1].done()
    stopped.is_stopped = False
    await net.settle()
    assert stopped.resets == {"t": 1}
    tasks += publish(writer, "3")
    await net.settle()
    assert tasks[2].done()
    assert stopped.got["t"][-1] == "3"
    assert writer.got == owner.got == {"t": ["1", "2", "3"]}
    assert (writer.resets, owner.resets) == ({}, {})


@pytest.mark.parametrize("has_noticed", [True, False])
async def test_stopped_process_is_reset_if_its_owner_died(has_noticed: bool) -> None:
    """Nobody else knows what it missed; it may not have noticed that it stood still."""
    net = Net("abc")
    owner = owner_of(net)
    writer, stopped = others(net, owner)
    if not has_noticed:
        stopped.was_stopped = lambda seconds, within: False  # type: ignore[method-assign]
    stopped.is_stopped = True
    tasks = publish(writer, "1")
    await net.wait(LEFT_OUT_AFTER + 0.5)
    tasks += publish(writer, "2")
    await net.settle()
    await asyncio.gather(*tasks)
    net.kill(owner.name)
    stopped.is_stopped = False
    await net.settle()
    assert stopped.resets == {"t": 1}
    assert writer.resets == {}


async def test_stopped_process_is_reset_only_for_what_it_missed() -> None:
    net = Net("ab", topics=["t", "u"])
    owner = owner_of(net)
    [stopped] = others(net, owner)
    stopped.is_stopped = True
    task = asyncio.ensure_future(owner.published.publish("t", "x"))
    await net.wait(LEFT_OUT_AFTER + 0.5)
    assert task.done()
    stopped.is_stopped = False
    await net.settle()
    assert stopped.resets == {"t": 1}


async def test_process_left_out_for_another_topic_is_reset_for_both() -> None:
    net = Net("ab")
    owner = owner_of(net)
    also = next(each for each in map(str, range(99)) if owner_of(net, each) is owner)
    [stopped] = others(net, owner)
    stopped.is_stopped = True
    task = asyncio.ensure_future(owner.published.publish("t", "x"))
    await net.wait(LEFT_OUT_AFTER + 0.5)
    await task
    await owner.published.publish(also, "x")
    stopped.is_stopped = False
    await net.settle()
    assert stopped.resets == {"t": 1, also: 1}


async def test_late_copy_of_settled_publication_is_dropped() -> None:
    """An owner that was passed over wakes long after its writer was answered."""
    net = Net("abc")
    owner = owner_of(net)
    writer, reader = others(net, owner)
    owner.is_stopped = True
    tasks = publish(writer, "1")
    await net.wait(PASSED_OVER_AFTER + LEFT_OUT_AFTER + 1)
    for number in range(20):  # enough topics that the first one is forgotten
        tasks.append(asyncio.ensure_future(writer.published.publish(f"u{number}", "x")))
        await net.wait(PASSED_OVER_AFTER + LEFT_OUT_AFTER + 1)
    await asyncio.gather(*tasks)
    owner.is_stopped = False
    await net.settle()
    assert reader.got["t"] == writer.got["t"] == ["1"]


@pytest.mark.parametrize("is_owner", [True, False])
async def test_cut_pipe_loses_and_doubles_nothing(is_owner: bool) -> None:
    """Both sides live: what was cut off is sent again on the next pipe."""
    net = Net("ab")
    owner = owner_of(net)
    [other] = others(net, owner)
    writer, reader = (owner, other) if is_owner else (other, owner)
    tasks = publish(writer, "1")
    await asyncio.sleep(0)
    net.cut(writer, reader)
    tasks += publish(writer, "2")
    await net.settle()
    net.connect(writer, reader)
    tasks += publish(writer, "3")
    await net.wait(0.5)
    await asyncio.gather(*tasks)
    assert owner.got == other.got == {"t": ["1", "2", "3"]}
    assert owner.resets == other.resets == {}


async def test_cut_answer_doubles_nothing() -> None:
    net = Net("ab")
    owner = owner_of(net)
    [other] = others(net, owner)
    [task] = publish(owner, "1")
    await asyncio.sleep(0)
    await net.deliver(net.pipes()[0])
    assert other.got == {"t": ["1"]}
    net.cut(owner, other)
    net.connect(owner, other)
    await net.wait(0.5)
    await task
    assert other.got == {"t": ["1"]}


async def test_process_out_of_reach_for_long_is_reset() -> None:
    net = Net("ab")
    owner = owner_of(net)
    [other] = others(net, owner)
    [task] = publish(owner, "1")
    await asyncio.sleep(0)
    net.cut(owner, other)
    await net.wait(LEFT_OUT_AFTER + 0.5)
    await task
    net.connect(owner, other)
    await net.wait(0.5)
    assert (other.got, other.resets) == ({}, {"t": 1})


async def test_missed_that_is_cut_off_is_told_again() -> None:
    net = Net("ab")
    owner = owner_of(net)
    [other] = others(net, owner)
    [task] = publish(owner, "1")
    await asyncio.sleep(0)
    net.cut(owner, other)
    await net.wait(LEFT_OUT_AFTER + 0.5)
    await task
    net.connect(owner, other)
    owner.published.tick()
    assert len(net.pipes()[0].arrived) == 1
    net.cut(owner, other)
    net.connect(owner, other)
    await net.wait(0.5)
    assert other.resets == {"t": 1}


async def test_owner_that_comes_waits_for_answers_of_the_old_one() -> None:
    """Publications of one writer keep their order when a process joins."""
    net = Net("ab")
    old = owner_of(net)
    [writer] = others(net, old)
    name = next(each for each in "cdefghijklmnop" if ranked(b"t", ["a", "b", each])[0] == each)
    tasks = publish(writer, "1")
    await asyncio.sleep(0)
    new = net.join(name)
    tasks += publish(writer, "2")
    await asyncio.sleep(0)
    for _ in range(100):  # the pipes of the new one are quicker
        pipes = net.pipes()
        if not pipes:
            break
        await net.deliver(next((p for p in pipes if new in (p.process, p.other.process)), pipes[0]))
    await asyncio.gather(*tasks)
    assert writer.got == old.got == {"t": ["1", "2"]}


async def test_publication_reaches_owner_that_has_not_joined_yet() -> None:
    """It may know only some of the others, so it waits until it knows all."""
    net = Net("a")
    new = Process(net, "b")
    net.connect(net["a"], new)
    topic = next(t for t in map(str, range(100)) if ranked(t.encode(), "ab")[0] == "b")
    net.processes["b"] = new
    task = asyncio.ensure_future(net["a"].published.publish(topic, "x"))
    await net.settle()
    assert not task.done()
    net.connect(new, net["a"])
    new.published.begin()
    await net.settle()
    await task
    assert net["a"].got == new.got == {topic: ["x"]}


async def test_owner_that_knows_a_process_late_is_not_trusted() -> None:
    """It did not answer when the process began, and may have left it out without knowing."""
    net = Net("a")
    owner = net["a"]
    new = Process(net, "b")
    net.connect(new, owner)
    new.published.begin()
    await owner.published.publish("t", "x")
    net.processes["b"] = new
    net.connect(owner, new)
    await net.settle()
    assert (new.got, new.resets) == ({}, {"t": 1})
    net.cut(owner, new)
    net.connect(owner, new)
    assert new.resets == {"t": 1}


async def test_cancelled_caller_does_not_withdraw_its_publication() -> None:
    net = Net("abc")
    writer = others(net, owner_of(net))[0]
    [task] = publish(writer, "x")
    await asyncio.sleep(0)
    task.cancel()
    await net.settle()
    assert [each.got for each in net.processes.values()] == [{"t": ["x"]}] * 3


async def test_publication_fails_when_its_process_stops() -> None:
    net = Net("abc")
    writer = others(net, owner_of(net))[0]
    [task] = publish(writer, "x")
    await asyncio.sleep(0)
    writer.published.stop()
    with pytest.raises(RuntimeError, match="the hub stopped before every worker had taken"):
        await task


async def test_name_of_topic_may_hold_lone_surrogates() -> None:
    net = Net("ab", topics=["g/\ud800"])
    for process in net.processes.values():
        task = asyncio.ensure_future(process.published.publish("g/\ud800", b"\0"))
        await net.settle()
        await task
    assert net["a"].got == net["b"].got == {"g/\ud800": [b"\0", b"\0"]}


async def test_nothing_is_kept_of_what_was_taken() -> None:
    net = Net("abc")
    for number in range(300):
        tasks = [asyncio.ensure_future(net["a"].published.publish(f"t{number}", "x"))]
        tasks += publish(net["b"], str(number))
        await net.settle()
        await asyncio.gather(*tasks)
    for process in net.processes.values():
        published = process.published
        assert not published._writer.is_pending
        assert published._writer._backlogs == {}
        assert not published._owner.is_pending
        assert all(len(seen) <= 16 for seen in published._subscriber._writers.values())
        assert published._timer is None or not published._owner.is_pending
