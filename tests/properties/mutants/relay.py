"""The mutants of the relay between processes; the machine of processes must detect each."""

from __future__ import annotations

from tests.properties.mutants.mutant import Mutant
from transport.bus.calls import Calls
from transport.server.relay.edge import Edge
from transport.server.relay.edge_link import EdgeLink
from transport.server.relay.home import Home
from transport.server.relay.openings import Openings
from transport.server.relay.queries import Queries
from transport.server.topics.owned.subscriber import Subscriber
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
        Openings,
        "resume",
        name="stopped-home-taken-for-dead",
        rule="EPO-1: a home that has not answered a question is told as restarted",
        old="if home is None:",
        new="if home is None or home in [pipe.peer for pipe, _ in self._asking._calls._waiting]:",
    ),
    Mutant(
        Home,
        "ended",
        name="links-of-dead-edge-kept",
        rule="the connections of an edge that is gone stay attached",
        old="if each is pipe:",
        new="if False:",
        first_seed=44,
    ),
    Mutant(
        EdgeLink,
        "_leave",
        name="loss-not-told",
        rule="the home does not learn that a client has left its edge",
        old="self.pipe.send(Lost(self.number))",
        new="pass",
        first_seed=27,
    ),
    Mutant(
        Calls,
        "ended",
        name="poll-not-watched",
        rule="a parked poll does not end with its home",
        old="answered.set_exception(NotReached(pipe.peer))",
        new="pass",
        first_seed=13,
    ),
    Mutant(
        Edge,
        "ended",
        name="links-of-dead-home-kept",
        rule="the connections to a home that is gone do not end",
        old="if each is pipe:",
        new="if False:",
        first_seed=22,
    ),
    Mutant(
        Subscriber,
        "take",
        name="repetition-delivered",
        rule="a publication that was sent again reaches a member twice",
        old="if seen.take(",
        new="if True or seen.take(",
        first_seed=67,
    ),
    Mutant(
        Queries,
        "_deliver",
        name="told-as-sent",
        rule="`send_to` is told as done, and the channel has not taken it",
        old="is_taken = self._local.deliver(question.channel, question.payload)",
        new="is_taken = True",
    ),
    Mutant(
        Queries,
        "_dismiss",
        name="dismissal-ignored",
        rule="IDN-2: a user's sessions in another process go on",
        old="self._local.dismiss(decode_text(msgpack.decode(body)))",
        new="pass",
        first_seed=29,
    ),
]
