"""The mutants of the relay between processes; the machine of processes must detect each."""

from __future__ import annotations

from tests.properties.mutants.mutant import Mutant
from transport.bus.calls import Calls
from transport.server.relay.edge import Edge
from transport.server.relay.edge_link import EdgeLink
from transport.server.relay.home import Home
from transport.testing.memory_bus import MemoryPipe

RELAY = [
    Mutant(
        MemoryPipe,
        "send",
        name="item-dropped",
        rule="an item of a pipe is lost, and the pipe does not end",
        old="if self.is_open:",
        new="if self.is_open and len(encode_item(item)) % 16:",
    ),
    Mutant(
        Calls,
        "received",
        name="answer-lost",
        rule="the answer of a home does not reach the request that waits for it",
        old="answered is not None and",
        new="answered is not None and len(item.body) % 8 and",
    ),
    Mutant(
        Edge,
        "send",
        name="post-answered-without-frames",
        rule="SND-2: what the home answers to a POST is not passed on",
        old='return answer + await self._post(home, credential, first, b"\\n".join(before))',
        new='return answer + (await self._post(home, credential, first, b"\\n".join(before)))[:0]',
    ),
    Mutant(
        Edge,
        "_open",
        name="stopped-home-taken-for-dead",
        rule="EPO-1: a home that does not answer is told as restarted",
        old="        link.lost()\n        raise",
        new="        link.lost()\n        return None",
    ),
    Mutant(
        Home,
        "ended",
        name="links-of-dead-edge-kept",
        rule="the connections of an edge that is gone stay attached",
        old="if each is pipe:",
        new="if False:",
    ),
    Mutant(
        EdgeLink,
        "_leave",
        name="loss-not-told",
        rule="the home does not learn that a client has left its edge",
        old="self.pipe.send(Lost(self.number))",
        new="pass",
    ),
    Mutant(
        Calls,
        "call",
        name="poll-not-cancelled",
        rule="a poll whose client has left stays parked at its home",
        old="pipe.send(Cancel(key[1]))",
        new="pass",
    ),
    Mutant(
        Calls,
        "ended",
        name="poll-not-watched",
        rule="a parked poll does not end with its home",
        old="answered.set_exception(NotReached(pipe.peer))",
        new="pass",
    ),
    Mutant(
        Edge,
        "ended",
        name="links-of-dead-home-kept",
        rule="the connections to a home that is gone do not end",
        old="if each is pipe:",
        new="if False:",
    ),
]
