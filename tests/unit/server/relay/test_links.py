"""A link holds back what its other end does not take, and is over at both ends at once."""

from __future__ import annotations

from typing import Any

import pytest

from transport import Limits, codes
from transport.bus.items import End, Frames, Item, Lost, Ready
from transport.errors import ProtocolError
from transport.protocol.codec import Decoder
from transport.server.relay.edge_link import EdgeLink, most_waiting
from transport.server.relay.flow import MAX_ITEM, MAX_UNDER_WAY, Flow


class Recorder:
    """A pipe that keeps what is sent on it."""

    peer = "home"
    is_open = True
    is_own = True

    def __init__(self) -> None:
        self.sent: list[Item] = []

    def send(self, item: Item) -> None:
        self.sent.append(item)

    def end(self) -> None:
        self.is_open = False


class NoRenewer:
    """A renewer that is not asked."""

    def count_renewal(self) -> None:
        raise AssertionError

    async def renew(self, credentials: Any) -> None:
        raise AssertionError


def frames(pipe: Recorder) -> list[list[Any]]:
    return [item.frames for item in pipe.sent if isinstance(item, Frames)]


def make_link(limit: int = 1000) -> tuple[EdgeLink, Recorder, list[EdgeLink]]:
    pipe, ended = Recorder(), list[EdgeLink]()
    link = EdgeLink(pipe, 7, limit, Decoder(Limits()), NoRenewer(), ended.append)
    return link, pipe, ended


def test_flow_sends_no_more_than_is_taken() -> None:
    pipe = Recorder()
    flow = Flow(pipe, 7)
    for number in range(10):
        flow.add(f"frame {number}")
    assert frames(pipe) == [["frame 0"], ["frame 1"]]
    flow.ready(1)
    assert frames(pipe)[2:] == [[f"frame {number}" for number in range(2, 10)]]
    assert flow.waiting == 0


def test_flow_tells_what_was_taken_with_its_frames() -> None:
    pipe = Recorder()
    flow = Flow(pipe, 7)
    flow.took()
    assert pipe.sent == []  # the other side may send another item
    flow.add("answer")
    flow.took()
    flow.add("answer")
    flow.took()
    flow.took()
    assert pipe.sent == [
        Frames(7, ["answer"], taken=1),
        Frames(7, ["answer"], taken=1),
        Ready(7, MAX_UNDER_WAY),
    ]


@pytest.mark.parametrize("item", [Frames(7, [], taken=2), Ready(7, 2)])
def test_edge_sends_more_once_its_home_took_some(item: Frames | Ready) -> None:
    link, pipe, _ = make_link()
    for number in range(1, 5):
        link.receive(f"[{number},0,{number}]")
    assert frames(pipe) == [["[1,0,1]"], ["[2,0,2]"]]
    if isinstance(item, Frames):
        link.frames(item)
    else:
        link.ready(item.count)
    assert frames(pipe)[2:] == [["[3,0,3]", "[4,0,4]"]]


def test_flow_fills_items_up_to_their_size() -> None:
    pipe = Recorder()
    flow = Flow(pipe, 7)
    large, small = "x" * (3 * MAX_ITEM), "y" * (MAX_ITEM // 2)
    flow.add(small, small, small, large, b"z", small)
    for _ in range(4):
        flow.ready(1)
    assert frames(pipe) == [[small, small], [small], [large], [b"z", small]]


def test_edge_takes_no_more_than_its_client_reads() -> None:
    """The home may send the next item once the client's connection took one."""
    link, pipe, _ = make_link()
    for number in range(MAX_UNDER_WAY):
        link.frames(Frames(7, [f"frame {number}"]))
    assert pipe.sent == []
    assert link.write() == ["frame 0", "frame 1"]
    assert pipe.sent == [Ready(7, MAX_UNDER_WAY)]
    assert link.write() == []
    assert pipe.sent == [Ready(7, MAX_UNDER_WAY)]


def test_flood_at_an_edge_ends_its_link() -> None:
    """The home takes nothing, and the client sends more than its window."""
    link, pipe, _ = make_link(limit=1000)
    message = f'[1,0,"{"x" * 92}"]'
    for _ in range(12):  # two items under way, and what may wait
        link.receive(message)
    with pytest.raises(ProtocolError) as raised:
        link.receive(message)
    assert raised.value.code is codes.WINDOW_EXCEEDED
    assert sum(map(len, frames(pipe)[0] + frames(pipe)[1])) == 200
    link.fail(raised.value)
    [error] = link.write()
    assert '"window_exceeded"' in str(error)
    assert (link.code, link.close_code) == (codes.WINDOW_EXCEEDED, 4412)
    assert pipe.sent[-1] == Lost(7)


@pytest.mark.parametrize("limits", [Limits(), Limits(message=1000, window_bytes=1000)])
def test_window_of_small_messages_waits_at_an_edge(limits: Limits) -> None:
    """The home takes nothing. What the window counts is the messages, not their frames."""
    link, _, _ = make_link(most_waiting(limits))
    for number in range(1, limits.window_messages + 1):
        link.receive(f"[{2**53 - number},{2**53 - 1},1]")
    assert link.code is None


def test_end_comes_after_all_frames() -> None:
    link, pipe, ended = make_link()
    link.frames(Frames(7, ["last"]))
    link.end(End(7, "normal", 4000))
    assert (link.code, link.close_code) == (codes.NORMAL, 4000)
    assert link.write() == ["last"]
    assert link.due() is None
    assert ended == [link]
    link.receive("late")  # nothing
    link.lost()
    assert Lost(7) not in pipe.sent


def test_code_of_later_release_ends_link() -> None:
    link, _, _ = make_link()
    link.end(End(7, "news", 4499))
    assert (link.code, link.close_code) == (codes.INTERNAL, 4499)


def test_loss_is_told_once() -> None:
    link, pipe, ended = make_link()
    link.lost()
    link.lost()
    assert pipe.sent == [Lost(7)]
    assert ended == [link]
    assert link.due() is None  # the writer ends, too


def test_loss_is_told_after_what_waits() -> None:
    link, pipe, _ = make_link()
    received = [f'[{number},0,"x"]' for number in range(5)]
    for message in received:
        link.receive(message)
    link.lost()
    assert [frame for item in frames(pipe) for frame in item] == received
    assert pipe.sent[-1] == Lost(7)


def test_abort_drops_connection() -> None:
    link, _, _ = make_link()
    aborted: list[bool] = []
    link.abort = lambda: aborted.append(True)
    link.end(End(7, "internal", 1011, abort=True))
    assert aborted == [True]
