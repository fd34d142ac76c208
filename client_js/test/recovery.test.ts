// Recovery from a lost connection.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { listen, watch } from "./observe.ts";
import { World, opened } from "./world.ts";

describe("recovery", () => {
  test("a cut is resumed after a random wait without loss or duplicates", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    const seen = listen(channel);
    let socket = await world.openSocket();
    const first = watch(channel.send("one"));
    const second = watch(channel.send("two"));
    await world.settle();
    socket.receive([1, 1, "a"]);
    await world.pass(6);
    socket.end();
    assert.equal(channel.state, "recovering");
    const third = watch(channel.send("three"));
    await world.pass(0.3);
    socket = await world.socket();
    socket.open();
    const [open] = socket.take() as { received: number; first_retained: number }[];
    assert.deepEqual([open!.received, open!.first_retained], [1, 2]);
    socket.receive(opened(open, { received: 1, handled: 1, sent: 3 }));
    await world.settle();
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 1 }, [2, 1, "two", "three"]]);
    socket.receive([2, 3, "b", "c", "d"]);
    await world.settle();
    assert.deepEqual(seen, ["a", { recovered: "b" }, { recovered: "c" }, "d"]);
    assert.deepEqual(
      [first, second, third].map(({ outcome }) => outcome),
      ["handled", "handled", "handled"],
    );
    assert.deepEqual(events.slice(2), [
      ["recovering", "closed with 1006"],
      ["resumed", 2],
    ]);
    const { sent, received, acknowledged, replayed, attaches, reconnects } = channel.statistics();
    assert.deepEqual(
      { sent, received, acknowledged, replayed, attaches, reconnects },
      { sent: 3, received: 4, acknowledged: 3, replayed: 2, attaches: 2, reconnects: 1 },
    );
  });

  test("a bare close 1012 is a drain (DRN-1)", async () => {
    const world = new World();
    const { events } = world.channel();
    (await world.openSocket()).end(1012);
    // It was not steady: part of `retryBase` is added.
    await world.pass(1.2);
    assert.equal(world.sockets.length, 0);
    await world.pass(0.1);
    await world.socket();
    assert.deepEqual(events.at(-1), ["recovering", "drain"]);
  });

  test("time with an active connection does not count as outage", async () => {
    for (const leave of ["end", "reconnect"]) {
      const world = new World();
      world.random = 1;
      const { channel } = world.channel({ transports: ["websocket"] });
      let socket = await world.openSocket();
      await world.pass(30);
      if (leave === "reconnect") channel.reconnect();
      else {
        socket.end();
        await world.pass(0.51);
      }
      socket = await world.openSocket();
      const waits: number[] = [];
      for (const age of [4.5, 2.5, 4.5]) {
        await world.pass(age);
        socket.end();
        const { now } = world;
        while (!world.sockets.length && world.now < now + 30) await world.pass(0.01);
        waits.push(Math.round(2 * (world.now - now)) / 2);
        socket = await world.openSocket();
      }
      // Half a second, plus the time without an active connection.
      assert.deepEqual(waits, leave === "reconnect" ? [0.5, 1, 2] : [1, 2, 4], leave);
    }
  });

  test("an outage does not affect later retries once it has ended, or if the application caused it", async () => {
    const waits: Record<string, number> = {};
    for (const leave of ["end", "reconnect", "suspend", "rotate"]) {
      const world = new World();
      world.random = 1;
      const { channel } = world.channel({ transports: ["websocket"] });
      for (const begun = world.now; world.now < begun + 40;) {
        for (const socket of world.sockets.splice(0)) socket.end();
        await world.pass(0.05);
      }
      while (!world.sockets.length) await world.pass(0.05);
      let socket = await world.openSocket();
      for (let minute = 0; minute < 60; minute++)
        for (let second = 0; second < 60; second += 10) {
          await world.pass(10);
          socket.receive({ type: "ping" });
          await world.settle();
        }
      if (leave === "rotate") {
        // The new connection is young, but another was active for an hour.
        channel._driver.connector.active!.rotateAt = world.now;
        channel._driver.schedule();
        await world.pass(0.1);
        socket = await world.openSocket();
        socket.receive({ type: "ping" });
        await world.pass(3);
      }
      if (leave === "suspend") {
        channel.suspend();
        await world.pass(60);
        channel.resume();
      } else if (leave === "reconnect") channel.reconnect();
      else socket.end();
      while (!world.sockets.length) await world.pass(0.01);
      world.sockets.shift()!.end();
      const { now } = world;
      await world.settle();
      while (!world.sockets.length && world.now < now + 40) await world.pass(0.01);
      waits[leave] = world.now - now;
    }
    for (const [leave, wait] of Object.entries(waits)) assert.ok(wait < 2, `${leave}: ${wait}`);
  });

  test("a server that drops new connections is retried at growing intervals", async () => {
    const world = new World();
    world.random = 1;
    const { channel } = world.channel({ transports: ["websocket"] });
    for (let second = 0; second < 60; second += 0.1) {
      for (const socket of world.sockets.splice(0)) {
        socket.open();
        socket.receive(opened(socket.take()[0]));
        await world.pass(0.02);
        socket.end();
      }
      await world.pass(0.1);
    }
    const { attaches } = channel.statistics();
    assert.ok(attaches > 3 && attaches < 10, `${attaches}`);
  });

  test("a server that only drains is not retried in a loop", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["longpoll"] });
    for (let second = 0; second < 60; second += 0.1) {
      for (const poll of world.requests.splice(0))
        poll.respond(200, [opened(poll.lines[0]), { type: "drain", retry_in: 0 }]);
      await world.pass(0.1);
    }
    const { attaches } = channel.statistics();
    assert.ok(attaches > 3 && attaches < 15, `${attaches}`);
  });

  test("input that arrived during a sleep is handled before deadlines", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    world.now += 60;
    world.environment.setTimeout(() => socket.receive({ type: "ping" }), 0);
    await world.pass(1);
    assert.equal(channel.state, "open");
    assert.deepEqual(socket.take(), [{ type: "pong" }, { type: "ping" }]);
  });

  test("silence ends a connection (LIV-2)", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    await world.pass(44.9);
    assert.equal(channel.state, "open");
    await world.pass(0.2);
    assert.equal(channel.state, "recovering");
    assert.equal(socket.readyState, 3);
  });

  test("it is suspended after the TTL, and keeps trying", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["websocket"] });
    (await world.openSocket()).end();
    for (let second = 0; second < 119; second++) {
      await world.pass(1);
      for (const socket of world.sockets.splice(0)) socket.end();
    }
    assert.equal(channel.state, "recovering");
    await world.pass(2);
    assert.equal(channel.state, "suspended");
    while (!world.sockets.length) await world.pass(1);
    await world.openSocket();
    assert.equal(channel.state, "open");
    assert.deepEqual(events.at(-1), ["resumed", 0]);
  });

  test("reset reports the fate of each send and starts a new session (RES-3)", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["websocket"] });
    (await world.openSocket()).end();
    const sends = [channel.send("a"), channel.send("b")].map(watch);
    await world.pass(1);
    const socket = await world.socket();
    socket.open();
    const [open] = socket.take();
    socket.receive(
      opened(open, {
        id: "a8",
        verdict: "reset",
        session: "token-9",
        reset: { reason: "expired", lost: [1, 2], handled: 0, in_hand: 0 },
      }),
    );
    const later = watch(channel.send("c"));
    await world.settle();
    assert.deepEqual(
      sends.map(({ outcome }) => outcome),
      ["reset: not_handled", "reset: not_handled"],
    );
    assert.deepEqual(events.slice(-2), [
      [
        "reset",
        "expired",
        [1, 2],
        [
          { message: "a", fate: "not_handled" },
          { message: "b", fate: "not_handled" },
        ],
      ],
      ["open"],
    ]);
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 0 }, [1, 0, "c"]]);
    assert.equal(later.outcome, "pending");
  });

  test("too_many delays the retry and is not held against the transport", async () => {
    const world = new World();
    world.channel({ transports: ["sse", "longpoll"] });
    (await world.request("sse")).respond(429, [{ type: "error", code: "too_many", message: "", retry_in: 7 }]);
    await world.pass(6.9);
    assert.equal(world.requests.length, 0);
    await world.pass(1);
    await world.request("sse");
  });
});
