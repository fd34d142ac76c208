// Slots for held connections, shared by the tabs of a browser.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { acquireSlot } from "../src/connection_slots.ts";
import { Locks } from "./locks.ts";
import { World, opened, postAnswer } from "./world.ts";
import type { FakeRequest } from "./world.ts";

const URL_HERE = "http://localhost/chat";
const NEVER = new Promise<void>(() => {});

/** Returns the world of a tab of the browser with these locks. */
function tab(locks: Locks): World {
  const world = new World();
  Object.assign(world.environment, { navigator: { locks } });
  return world;
}

async function refuseSocket(world: World): Promise<void> {
  (await world.socket()).end(1006);
}

/** Takes all slots. Returns functions that release one each. */
async function takeAllSlots(locks: Locks): Promise<(() => void)[]> {
  const releases: (() => void)[] = [];
  for (let slot = 0; slot < 4; slot++)
    assert(await acquireSlot(tab(locks).environment, URL_HERE, new Promise((resolve) => releases.push(resolve))));
  return releases;
}

async function openPoll(world: World): Promise<FakeRequest> {
  const open = await world.request("poll");
  open.respond(200, [opened(open.lines[0])]);
  return world.request("poll");
}

describe("slots", () => {
  test("each server has four, which are free again when released", async () => {
    const locks = new Locks();
    const releases = await takeAllSlots(locks);
    const { environment } = tab(locks);
    assert.equal(await acquireSlot(environment, "http://localhost/other", NEVER), false);
    assert.equal(await acquireSlot(environment, "http://elsewhere/chat", NEVER), true);
    releases[2]!();
    await new Promise(setImmediate);
    assert.equal(await acquireSlot(environment, URL_HERE, NEVER), true);
    assert.equal(await acquireSlot(environment, URL_HERE, NEVER), false);
  });

  test("are unlimited without access to locks", async () => {
    const { environment } = new World();
    assert.equal(await acquireSlot(environment, URL_HERE, NEVER), true);
    Object.assign(environment, {
      navigator: { locks: { request: () => Promise.reject(new DOMException("no", "SecurityError")) } },
    });
    assert.equal(await acquireSlot(environment, URL_HERE, NEVER), true);
  });
});

describe("a channel", () => {
  test("over WebSocket needs no slot", async () => {
    const locks = new Locks();
    const world = tab(locks);
    world.channel();
    await world.openSocket();
    assert.equal(locks.held.size, 0);
  });

  test("takes one for its streams, and releases it at the end", async () => {
    for (const end of ["close", "suspend", "websocket"] as const) {
      const locks = new Locks();
      const world = tab(locks);
      const { channel } = world.channel({ fallbackFor: 20, retryBase: 0.1 });
      await refuseSocket(world);
      const open = async (): Promise<void> => {
        const stream = await world.request("sse");
        stream.stream();
        stream.event(opened(stream.lines[0], { timings: { heartbeat: 20, ttl: 120, closing: 30, stream: 15 } }));
        stream.event({ type: "ack", ack: 0 });
        (await world.request("send")).respond(200, [{ type: "ack", ack: 0, received: 0, sent: 0, attached: true }]);
        await world.settle();
      };
      await open();
      await world.pass(11.4);
      if (end === "websocket") {
        await world.openSocket();
        assert.equal(channel.transport, "websocket");
      } else {
        await world.pass(1);
        await open();
        assert.equal(channel.statistics().attaches, 2);
        assert.equal(locks.held.size, 1);
      }
      if (end === "close") void channel.close();
      if (end === "suspend") channel.suspend();
      if (end === "close") {
        const send = await world.request("send");
        const { last } = send.lines[1] as { last: number };
        send.respond(200, [postAnswer(), { type: "close", code: 1000, reason: "", by: "app", last: 0, ack: last }]);
      }
      await world.settle();
      assert.equal(locks.held.size, 0, end);
    }
  });

  test("without a slot polls once a second, and explains why", async () => {
    const locks = new Locks();
    const releases = await takeAllSlots(locks);
    const world = tab(locks);
    const { channel } = world.channel();
    await refuseSocket(world);
    await world.pass(1.3);
    const first = await openPoll(world);
    assert.equal((first.lines[0] as { hold: number }).hold, 0);
    assert.deepEqual(
      channel.explain().map(({ transport, outcome }) => [transport, outcome]),
      [
        ["websocket", "failed"],
        ["sse", "left"],
        ["longpoll", "open"],
      ],
    );
    for (const { reason } of channel.explain().slice(1)) assert.match(reason, /^too many tabs/);
    first.respond(200, [{ type: "ack", ack: 0 }]);
    await world.pass(0.9);
    assert.equal(world.requests.length, 0);
    await world.pass(0.2);
    (await world.request("poll")).respond(200, [[1, 0, "soon"]]);
    await world.pass(1.1);
    await world.request("poll");
    releases[3]!();
    // A stream is probed again, as after any failure.
    await world.pass(15);
    const stream = await world.request("sse");
    assert.equal(locks.held.size, 4);
    stream.stream();
    stream.event(opened(stream.lines[0], { sent: 1 }));
    stream.event({ type: "ack", ack: 0 });
    await world.settle();
    assert.equal(channel.transport, "sse");
  });

  test("that may only poll is held again once a slot is free", async () => {
    const locks = new Locks();
    const releases = await takeAllSlots(locks);
    const world = tab(locks);
    world.channel({ transports: ["longpoll"] });
    await world.settle();
    const woken = world.timersSet;
    await world.pass(5);
    assert(world.timersSet - woken < 5, "nothing is due while it opens");
    assert.equal(((await openPoll(world)).lines[0] as { hold: number }).hold, 0);
    releases[0]!();
    for (let second = 0; second < 241; second++) {
      const index = world.requests.findIndex(({ lines: [line] }) => (line as { type: string }).type === "poll");
      if (index >= 0) world.requests.splice(index, 1)[0]!.respond(200, [{ type: "ack", ack: 0 }]);
      await world.pass(1);
    }
    const held = await openPoll(world);
    assert.equal("hold" in (held.lines[0] as object), false);
    assert.equal(locks.held.size, 4);
  });

  test("that has ended takes no slot when its credentials arrive", async () => {
    for (const end of ["close", "suspend"] as const) {
      const locks = new Locks();
      const world = tab(locks);
      let give = (_: string): void => {};
      const { channel } = world.channel({
        transports: ["sse"],
        credentials: () => new Promise<string>((resolve) => (give = resolve)),
      });
      await world.settle();
      void channel[end]();
      await world.settle();
      give("late");
      await world.settle();
      assert.equal(locks.held.size, 0, end);
    }
  });

  test("without a slot is never held, and keeps looking for one", async () => {
    const locks = new Locks();
    const releases = await takeAllSlots(locks);
    const world = tab(locks);
    world.channel({ transports: ["longpoll"] });
    let poll = await openPoll(world);
    await world.pass(6);
    poll.respond(502, "");
    await world.pass(1);
    poll = await world.request("poll");
    assert.equal((poll.lines[0] as { hold: number }).hold, 0);
    releases[0]!();
    let refused = 0;
    for (let second = 0; second < 600; second++) {
      for (const one of world.requests.splice(0)) {
        const [line] = one.lines as [{ type: string; hold?: number }];
        if (line.type === "poll" && line.hold !== 0) return;
        if (line.type === "poll") one.respond(200, [{ type: "ack", ack: 0 }]);
        // The first attempt to get a slot fails.
        else if (!refused++) one.respond(503, "");
        else one.respond(200, [opened(line)]);
      }
      await world.pass(1);
    }
    assert.fail("it found no slot");
  });

  for (const transports of [["sse"], ["websocket", "sse"]] as const)
    test(`that may only use ${transports.join()} polls without a slot, until one is free`, async () => {
      const locks = new Locks();
      const releases = await takeAllSlots(locks);
      const world = tab(locks);
      world.random = 1;
      const { channel } = world.channel({ transports });
      if (transports.length > 1) await refuseSocket(world);
      const poll = await openPoll(world);
      assert.equal((poll.lines[0] as { hold: number }).hold, 0);
      assert.deepEqual([channel.transport, channel.transports], ["longpoll", transports]);
      assert.match(channel.explain().at(-1)!.reason, /^too many tabs/);
      releases[0]!();
      for (let second = 0; channel.transport === "longpoll" && second < 20; second++) {
        for (const request of world.requests.splice(0)) {
          const [line] = request.lines;
          if (!request.url.endsWith("/sse")) {
            request.respond(200, [request.url.endsWith("poll") ? { type: "ack", ack: 0 } : postAnswer()]);
            continue;
          }
          request.stream();
          request.event(opened(line));
          request.event({ type: "ack", ack: 0 });
        }
        for (const socket of world.sockets.splice(0)) socket.end(1006);
        await world.pass(1);
      }
      assert.equal(channel.transport, "sse");
      // Polls were allowed for want of a slot only.
      assert.equal((await world.request("send")).url, "http://localhost/chat/send");
      channel.reconnect();
      await world.pass(1.3);
      await world.request("sse");
      await world.pass(5);
      assert.equal(world.requests.filter(({ url }) => url.endsWith("/poll")).length, 0);
    });

  test("without a slot is not held against streams, in this page or the next", async () => {
    const locks = new Locks();
    const releases = await takeAllSlots(locks);
    const world = tab(locks);
    const { channel } = world.channel({ transports: ["sse", "longpoll"] });
    await openPoll(world);
    assert.equal(world.environment.localStorage!.getItem("onechannel http://localhost"), null);
    releases[0]!();
    channel.reconnect();
    await world.pass(1.3);
    await world.request("sse");
    const next = tab(new Locks());
    Object.assign(next.environment, { localStorage: world.environment.localStorage });
    next.channel({ transports: ["sse", "longpoll"] });
    await next.request("sse");
  });

  test("needs no slot over HTTP/2, which shares one connection", async () => {
    const of = (name: string, nextHopProtocol?: string): object => ({ name, nextHopProtocol });
    for (const [entries, isFree] of [
      [[of("http://localhost/"), of("http://localhost/client.js", "h2"), of("mark")], true],
      [[of("http://localhost/client.js", "h3"), of("http://localhost/image", "")], true],
      [[of("http://localhost/client.js", "http/1.1")], false],
      [[of("http://localhost/client.js", "h2"), of("http://localhost/later", "http/1.1")], false],
      [[of("http://localhost.example/client.js", "h2")], false],
      [[], false],
    ] as const) {
      const locks = new Locks();
      await takeAllSlots(locks);
      const world = tab(locks);
      const { performance } = world.environment;
      Object.assign(world.environment, { performance: { ...performance, getEntries: () => entries } });
      world.channel({ transports: ["sse"] });
      await world.request(isFree ? "sse" : "poll");
    }
  });
});

describe("the slot of a channel", () => {
  test("is free while nothing connects", async () => {
    const locks = new Locks();
    const world = tab(locks);
    world.channel({ transports: ["sse"] });
    for (let round = 0; round < 3; round++) {
      const stream = await world.request("sse");
      assert.equal(locks.held.size, 1);
      stream.fail();
      await world.settle();
      assert.equal(locks.held.size, 0);
      while (!world.requests.length) await world.pass(0.1);
    }
  });

  test("is free once only WebSocket may be used", async () => {
    const locks = new Locks();
    const world = tab(locks);
    const { channel } = world.channel({ transports: ["sse"] });
    await world.openStream();
    channel.transports = ["websocket"];
    await world.settle();
    assert.equal(locks.held.size, 0);
  });
});
