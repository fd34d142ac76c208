"""Topics in a real Redis: its scripts do what `transport.protocol.topic_log` does."""

from __future__ import annotations

import asyncio
import random
from typing import Any, cast

import pytest
from msgspec.structs import replace

from tests.support.servers.redis import RedisServer
from transport.limits import Limits
from transport.protocol.codec import Payload
from transport.protocol.topic_log import (
    MAX_WRITERS,
    WRITER_LIFE,
    Entry,
    Keep,
    Publication,
    Reading,
    TopicLog,
    Unentered,
    decode_entry,
    publish,
    read,
)
from transport.stores.journaled import Failed
from transport.stores.redis.connections import Connections
from transport.stores.redis.keys import Keys
from transport.stores.redis.topic_commands import MAX_READ
from transport.stores.redis.topic_wires import RedisTopics
from transport.stores.topics.wire import (
    Append,
    Appended,
    Arrived,
    Broken,
    Echo,
    Notice,
    Subscribed,
)
from transport.stores.topics.writer import TopicWriter

LIMITS = Limits(message=400, window_bytes=400, window_messages=6)
KEEP = Keep(6, 400)


def topics(server: RedisServer, hub: str = "chat", limits: Limits = LIMITS) -> RedisTopics:
    return RedisTopics(Connections(server.url), Keys("shop:"), hub, limits)


def client_of(server: RedisServer) -> Any:
    """Return a client, whose types are those of both kinds of redis-py's clients."""
    return server.client()


def keys_of(topic: str, hub: str = "chat") -> tuple[bytes, bytes]:
    keys, name = Keys("shop:"), f"{len(hub)}:{hub}:{topic}"
    key, log = keys.topic(name), keys.topic_log(name)
    return key.encode("utf-8", "surrogatepass"), log.encode("utf-8", "surrogatepass")


class Both:
    """A topic in Redis and in the reference, to which the same is done."""

    def __init__(self, client: Any, name: str, seed: int) -> None:
        self.client = client
        self.name = name
        self.random = random.Random(seed)
        self.log: TopicLog | None = None
        self.kept: TopicLog | None = None
        self.serial = 0
        self.sent: list[Publication] = []
        self.topic, self.list = keys_of(name)

    def next(self) -> Publication:
        """Return a publication: a new one, or one that was sent before."""
        if self.sent and self.random.random() < 0.3:
            return self.random.choice(self.sent[-8:])
        self.serial += self.random.randrange(1, 3)
        last = self.log.last if self.log else 0
        payloads: list[Payload] = ['"é"', b"\0\n", "1" * self.random.randrange(150)]
        one = Publication(
            writer=self.random.choice(
                ["a", "b", *(f"w{self.random.randrange(400)}" for _ in "cd")]
            ),
            serial=self.serial,
            payload=self.random.choice(payloads),
            exclude=self.random.choice(["", "someone", "é \n"]),
            known=self.random.choice([0, 0, last, last + 5, last + 10_000_000]),
            since=self.random.choice([0, 0, last]),
            follows=self.random.choice([0, 0, 0, self.serial - 1, 1]),
        )
        self.sent.append(one)
        return one

    async def fault(self) -> None:
        """Lose the topic or a part of it, go back to an earlier state, or let time pass."""
        match self.random.randrange(6):
            case 0:
                await self.client.delete(self.topic, self.list)
                self.log = None
            case 1:
                await self.client.delete(self.topic)
                self.log = None
            case 2 if self.log is not None:
                await self.client.delete(self.list)
                self.log = TopicLog(self.log.last, writers=self.log.writers)
            case 3 if self.log is not None:
                await self.client.copy(self.topic, self.topic + b"k", replace=True)
                await self.client.delete(self.list + b"k")
                await self.client.copy(self.list, self.list + b"k", replace=True)
                self.kept = self.log
            case 4 if self.kept is not None:
                await self.client.copy(self.topic + b"k", self.topic, replace=True)
                await self.client.delete(self.list)
                await self.client.copy(self.list + b"k", self.list, replace=True)
                self.log = self.kept
            case 5 if self.log is not None:
                writers = {
                    name: (serial, time - WRITER_LIFE // 2)
                    for name, (serial, time) in self.log.writers.items()
                }
                for name, (serial, time) in writers.items():
                    await self.client.hset(self.topic, f"w:{name}", f"{serial} {time}")
                self.log = TopicLog(self.log.last, self.log.entries, self.log.size, writers)

    async def stored(self) -> TopicLog | None:
        """Return the topic as Redis has it."""
        fields: dict[bytes, bytes] = await self.client.hgetall(self.topic)
        if not fields:
            return None
        encoded: list[bytes] = await self.client.lrange(self.list, 0, -1)
        writers = {
            name[2:].decode(): cast("tuple[int, int]", tuple(map(int, value.split())))
            for name, value in fields.items()
            if name.startswith(b"w:")
        }
        size = int(fields[b"b"]) if encoded else 0
        return TopicLog(int(fields[b"n"]), tuple(map(decode_entry, encoded)), size, writers)


async def test_scripts_do_what_the_reference_does(redis_server: RedisServer) -> None:
    """Random publications, repetitions, reads and losses."""
    store = topics(redis_server)
    writes, reads = store.publish_wire(), store.read_wire()
    await writes.connect()
    await reads.connect()
    outcomes: set[str] = set()
    most = 0
    async with client_of(redis_server) as client:
        both = [Both(client, name, seed) for seed, name in enumerate(["t", "g/é\ud800", "x" * 50])]
        chooser = random.Random(5)
        for _ in range(1500):
            one = chooser.choice(both)
            if chooser.random() < 0.015:
                await one.fault()
            publications = [one.next() for _ in range(chooser.randrange(1, 4))]
            answers = await writes.publish([Append(one.name, each) for each in publications])
            for publication, answer in zip(publications, answers, strict=True):
                now = answer.now if isinstance(answer, Appended) else 0
                one.log, entry = publish(one.log, publication, KEEP, now)
                outcomes.add(str(entry) if isinstance(entry, Unentered) else "entry")
                if entry is Unentered.EARLY:
                    assert answer is entry
                else:
                    assert answer == Appended(one.log.last, now)
            most = max(most, len(one.log.writers) if one.log else 0)
            cursors = [
                chooser.choice([0, each.log.last, *(e.number for e in each.log.entries)])
                if each.log
                else chooser.choice([0, 1 << 52])
                for each in both
            ]
            asked = [(each.name, cursor) for each, cursor in zip(both, cursors, strict=True)]
            for each, cursor, reading in zip(both, cursors, await reads.read(asked), strict=True):
                assert isinstance(reading, Reading)
                assert reading == read(each.log, cursor, MAX_READ, reading.now)
        for each in both:
            assert await each.stored() == (each.log if each.log and each.log.writers else None)
    assert outcomes == {"entry", "Unentered.REPETITION", "Unentered.EARLY"}
    assert most > MAX_WRITERS
    writes.drop()
    reads.drop()


async def test_retry_beside_a_late_command_enters_each_once(redis_server: RedisServer) -> None:
    """The old connection is still there for Redis, and runs what was sent when the pause ends."""
    for seed in range(6):
        store, name = topics(redis_server), f"late{seed}"
        chooser = random.Random(seed)
        publications = [
            Publication(writer="w", serial=serial, payload=str(serial), follows=serial - 1)
            for serial in range(1, 6)
        ]
        wires = [store.publish_wire() for _ in range(3)]
        for wire in wires:
            await wire.connect()
        async with client_of(redis_server) as client:
            await client.client_pause(10_000, all=False)
            sending = []
            answered = 0
            for wire in wires:
                batch = [Append(name, each) for each in publications[answered:]]
                sending.append(asyncio.create_task(wire.publish(batch)))
                await asyncio.sleep(0.005 * chooser.random())
            await client.client_unpause()
            await asyncio.gather(*sending)
            encoded: list[bytes] = await client.lrange(keys_of(name)[1], 0, -1)
        assert [decode_entry(each).payload for each in encoded] == list("12345")
        for wire in wires:
            wire.drop()


async def test_read_is_bounded_over_all_topics(redis_server: RedisServer) -> None:
    large = Limits(message=600_000, window_bytes=4_000_000)
    store = topics(redis_server, limits=large)
    writes, reads = store.publish_wire(), store.read_wire()
    await writes.connect()
    await reads.connect()
    payload = "1" * 500_000
    for name in ("big1", "big2", "big3"):
        for serial in (1, 2, 3):
            one = Publication(writer=name, serial=serial, payload=payload)
            await writes.publish([Append(name, one)])
    asked = [("big1", 0), ("big2", 0), ("big3", 0), ("none", 0)]
    readings = await reads.read(asked)
    assert [
        (len(each.entries), each.has_more) for each in readings if isinstance(each, Reading)
    ] == [(2, True), (1, True), (0, True), (0, False)]
    first = readings[0]
    assert isinstance(first, Reading)
    [rest] = await reads.read([("big1", first.entries[-1].number)])
    assert isinstance(rest, Reading)
    assert (len(rest.entries), rest.has_more) == (1, False)
    writes.drop()
    reads.drop()


async def test_entries_arrive_as_they_are_published(redis_server: RedisServer) -> None:
    store = topics(redis_server)
    writes, reads, subscription = store.publish_wire(), store.read_wire(), store.subscribe_wire()
    for wire in (writes, reads, subscription):
        await wire.connect()
    names = ["g/é\ud800", "u/" + "x" * 60]
    await subscription.subscribe(names)
    assert [await subscription.receive() for _ in names] == [Subscribed(name) for name in names]
    numbers = []
    for serial, name in enumerate(names, 1):
        one = Publication(writer="w", serial=serial, payload=b"\0", exclude="\ud800")
        [answer] = await writes.publish([Append(name, one)])
        assert isinstance(answer, Appended)
        numbers.append(answer.number)
        repeated = await writes.publish([Append(name, one)])
        assert isinstance(repeated[0], Appended)
    await reads.echo("7")
    assert [await subscription.receive() for _ in range(3)] == [
        *(
            Arrived(name, Entry(0, number, 0, "w", serial, 0, "\ud800", b"\0"))
            for serial, (name, number) in enumerate(zip(names, numbers, strict=True), 1)
        ),
        Echo("7"),
    ]
    await subscription.unsubscribe(names)
    await subscription.subscribe(names[:1])
    assert await subscription.receive() == Subscribed(names[0])
    waiting = asyncio.create_task(_receive(subscription))
    await asyncio.sleep(0)
    subscription.drop()
    with pytest.raises(Broken):
        await waiting
    writes.drop()
    reads.drop()


async def _receive(subscription: Any) -> Notice:
    return cast(Notice, await subscription.receive())


async def test_nothing_of_a_topic_stays_for_ever(redis_server: RedisServer) -> None:
    store = topics(redis_server)
    wire = store.publish_wire()
    await wire.connect()
    one = Publication(writer="w", serial=1, payload="1")
    await wire.publish([Append("lives", one, dismisses="ann")])
    async with client_of(redis_server) as client:
        lives = [await client.pttl(key) for key in keys_of("lives")]
        dismissed = await client.pttl(Keys("shop:").dismissed("4:chat:ann"))
    ttl, tombstone = LIMITS.ttl * 1000, LIMITS.tombstone * 1000
    assert all(ttl + 80_000 < life <= ttl + 90_000 for life in lives)
    assert ttl + tombstone < dismissed <= ttl + tombstone + 90_000
    wire.drop()


async def test_many_writers_are_rarely_looked_through(redis_server: RedisServer) -> None:
    """A program may make a publisher for each message: each is kept for a minute."""
    wire = topics(redis_server).publish_wire()
    await wire.connect()
    async with client_of(redis_server) as client:
        await client.config_resetstat()
        for count in range(20):
            writers = [f"w{count}-{number}" for number in range(MAX_WRITERS)]
            one = Publication(writer="", serial=1, payload="1")
            await wire.publish([Append("t", replace(one, writer=name)) for name in writers])
        commands = await client.info("commandstats")
        assert commands["cmdstat_hgetall"]["calls"] < 20
    wire.drop()


async def test_repetition_does_not_dismiss_again(redis_server: RedisServer) -> None:
    """Who signs in between a dismissal and its late repetition stays."""
    store = topics(redis_server)
    writes, reads = store.publish_wire(), store.read_wire()
    await writes.connect()
    await reads.connect()
    one = Append("!", Publication(writer="w", serial=1, payload="1"), dismisses="bob")
    assert await reads.dismissals(["bob", "ann\ud800"]) == [0, 0]
    [answer] = await writes.publish([one])
    assert isinstance(answer, Appended)
    assert await reads.dismissals(["ann\ud800", "bob"]) == [0, answer.now]
    await writes.publish([one])
    assert await reads.dismissals(["bob"]) == [answer.now]
    assert await topics_of_other_hub(redis_server) == [0]
    writes.drop()
    reads.drop()


async def topics_of_other_hub(server: RedisServer) -> list[int]:
    reads = topics(server, hub="other").read_wire()
    await reads.connect()
    try:
        return list(await reads.dismissals(["bob"]))
    finally:
        reads.drop()


async def test_key_of_another_program_fails_its_topic_alone(redis_server: RedisServer) -> None:
    store = topics(redis_server)
    writes, reads = store.publish_wire(), store.read_wire()
    await writes.connect()
    await reads.connect()
    async with client_of(redis_server) as client:
        await client.set(keys_of("foreign")[0], "x")
        await client.rpush(keys_of("strange")[1], "x")
        await client.hset(keys_of("strange")[0], mapping={"n": 5, "b": 1})
    bad, good = await writes.publish(
        [
            Append("foreign", Publication(writer="w", serial=1, payload="1")),
            Append("fine", Publication(writer="w", serial=2, payload="1")),
        ]
    )
    assert isinstance(bad, Failed)
    assert "WRONGTYPE" in bad.text
    assert isinstance(good, Appended)
    foreign, strange, fine = await reads.read([("foreign", 0), ("strange", 0), ("fine", 0)])
    assert isinstance(foreign, Failed)
    assert "WRONGTYPE" in foreign.text
    assert isinstance(strange, Failed)
    assert isinstance(fine, Reading)
    assert len(fine.entries) == 1
    writes.drop()
    reads.drop()


async def test_refused_connection_and_command_are_named(redis_server: RedisServer) -> None:
    store = topics(redis_server)
    wire = store.publish_wire()
    await wire.connect()
    async with client_of(redis_server) as client:
        await client.script_flush()
        with pytest.raises(Broken, match=r"NOSCRIPT|No matching script"):
            await wire.publish([Append("t", Publication(writer="w", serial=1, payload="1"))])
        await wire.connect()
        [answer] = await wire.publish(
            [Append("t2", Publication(writer="w", serial=1, payload="1"))]
        )
        assert isinstance(answer, Appended)
    wire.drop()
    with pytest.raises(Broken, match="not connected"):
        await wire.publish([])
    nobody = Connections("redis://127.0.0.1:1/0")
    nowhere = RedisTopics(nobody, Keys(), "chat", LIMITS).publish_wire()
    with pytest.raises(Broken, match="nothing listens"):
        await nowhere.connect()


async def test_writer_repeats_over_connections_that_are_killed(redis_server: RedisServer) -> None:
    limits = Limits()
    writer = TopicWriter(topics(redis_server, limits=limits).publish_wire())
    task = asyncio.create_task(writer.run())
    async with client_of(redis_server) as client:
        sending = []
        for number in range(300):
            sending.append(asyncio.create_task(writer.publish("killed", str(number))))
            await asyncio.sleep(0)
            if number % 50 == 25:
                await client.client_kill_filter(_type="normal", skipme=True)
        async with asyncio.timeout(20):
            await asyncio.gather(*sending)
        encoded: list[bytes] = await client.lrange(keys_of("killed")[1], 0, -1)
    assert [decode_entry(each).payload for each in encoded] == [str(n) for n in range(300)]
    task.cancel()
    await asyncio.wait([task])
