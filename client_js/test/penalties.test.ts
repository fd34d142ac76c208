// Transports that failed while another worked: when they are probed again, and what `explain()` tells of them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { World, opened } from "./world.ts";
import type { FakeRequest } from "./world.ts";

/** WebSocket is refused, and a stream becomes active. Returns the stream. */
async function failWebSocket(world: World): Promise<FakeRequest> {
  (await world.socket()).end(1006);
  const stream = await world.openStream();
  (await plainGet(world)).respond(404, "<html>");
  await world.settle();
  return stream;
}

/** Returns the plain GET, which waits for the retry budget. */
async function plainGet(world: World): Promise<FakeRequest> {
  await world.pass(1.3);
  assert.equal(world.gets.length, 1);
  return world.gets.shift()!;
}

/** Keeps a stream alive for that many seconds. */
async function keepAlive(world: World, stream: FakeRequest, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    if (second % 20 === 0) stream.event({ type: "ack", ack: 0 });
    await world.pass(1);
  }
}

describe("penalties", () => {
  test("a better transport is probed at growing intervals, and takes over", async () => {
    const world = new World();
    world.random = 1;
    const { events } = world.channel();
    const stream = await failWebSocket(world);
    for (const wait of [15, 30, 60]) {
      await keepAlive(world, stream, wait - 2);
      assert.equal(world.sockets.length, 0);
      await keepAlive(world, stream, 2.2);
      (await world.socket()).end(1006);
    }
    await keepAlive(world, stream, 121);
    await world.openSocket();
    assert.deepEqual(events, [["transport", "sse"], ["open"], ["transport", "websocket"]]);
    assert.equal(world.gets.length, 0);
  });

  test("a server that drains a probe is not held against its transport (DRN-1)", async () => {
    const world = new World();
    world.random = 1;
    const { channel } = world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    await world.request("poll");
    channel.transports = ["websocket", "longpoll"];
    for (let drain = 0; drain < 2; drain++) {
      const socket = await world.socket();
      socket.open();
      socket.receive({ type: "drain", retry_in: 1 });
      await world.pass(14.9);
      assert.equal(world.sockets.length, 0);
      await world.pass(0.2);
    }
    assert.equal(world.environment.localStorage!.getItem("onechannel http://localhost"), null);
    await world.openSocket();
    assert.equal(channel.transport, "websocket");
  });

  for (const code of ["unauthorized", "forbidden_origin", "too_large"])
    test(`a probe that is refused as ${code} is repeated later, and ends nothing (ATT-8)`, async () => {
      const world = new World();
      world.random = 1;
      const { channel, events } = world.channel({ transports: ["longpoll"], credentials: () => "c" });
      const open = await world.request("poll");
      open.respond(200, [opened(open.lines[0])]);
      channel.transports = ["sse", "longpoll"];
      const begun = world.now;
      const probes: number[] = [];
      while (world.now < begun + 60) {
        for (const request of world.requests.splice(0)) {
          if (request.url.endsWith("/poll")) request.respond(200, [{ type: "ack", ack: 0 }]);
          else {
            probes.push(Math.round(world.now - begun));
            request.respond(403, [{ type: "error", code, message: "" }]);
          }
        }
        await world.pass(1);
      }
      // After 15 s, then 30 s; this loop is a second or two late.
      assert.deepEqual(probes, [1, 17, 48]);
      assert.deepEqual([channel.state, events.length], ["open", 2]);
    });

  test("the next page starts with the transport that worked", async () => {
    const world = new World();
    world.random = 1;
    world.channel();
    await failWebSocket(world);
    const next = new World();
    Object.assign(next.environment, { localStorage: world.environment.localStorage });
    next.random = 1;
    next.epoch += 5;
    const { channel } = next.channel({}, "http://localhost/another");
    const stream = await next.openStream();
    assert.equal(next.sockets.length, 0);
    // The rest of the wait.
    await keepAlive(next, stream, 9);
    assert.equal(next.sockets.length, 0);
    await keepAlive(next, stream, 2);
    const socket = await next.openSocket();
    await next.pass(6);
    socket.receive({ type: "ping" });
    await next.settle();
    // A connection that is stable removes the penalty.
    const third = new World();
    Object.assign(third.environment, { localStorage: world.environment.localStorage });
    third.channel();
    await third.socket();
    assert.equal(channel.transport, "websocket");
  });

  test("penalties apply to one origin and expire after a day", async () => {
    const world = new World();
    world.channel();
    await failWebSocket(world);
    for (const [url, later] of [
      ["http://elsewhere/chat", 0],
      ["http://localhost/chat", 90000],
    ] as const) {
      const next = new World();
      Object.assign(next.environment, { localStorage: world.environment.localStorage });
      next.epoch += later;
      next.channel({}, url);
      await next.socket();
    }
  });

  test("an outage leaves no penalties", async () => {
    const world = new World();
    world.random = 1;
    const { channel } = world.channel({ transports: ["websocket", "longpoll"] });
    for (let round = 0; round < 4; round++) {
      (await world.socket()).end(1006);
      // A plain GET that asks why the first round failed has a place in the retry budget.
      await world.pass(1.3);
      (await world.request("poll")).fail();
      while (!world.sockets.length) await world.pass(0.1);
    }
    assert.equal(world.environment.localStorage!.getItem("onechannel http://localhost"), null);
    await world.openSocket();
    assert.equal(channel.transport, "websocket");
  });

  test("storage that throws, is full or holds junk is ignored", async () => {
    const full: object = {
      getItem: () => '[["websocket","x",[]],["sse",null],7]',
      setItem: () => {
        throw new Error("full");
      },
    };
    for (const get of [
      () => {
        throw new Error("forbidden");
      },
      () => undefined,
      () => full,
    ]) {
      const world = new World();
      Object.defineProperty(world.environment, "localStorage", { get });
      world.channel();
      await failWebSocket(world);
    }
  });
});

describe("explain", () => {
  for (const [status, body, words] of [
    [
      426,
      '{"type":"error","code":"upgrade_required","message":"a proxy may have stripped the upgrade"}',
      "refused; the server answers 426: a proxy may have stripped the upgrade",
    ],
    [
      403,
      '{"type":"error","code":"forbidden_origin","message":"list the origin"}',
      "refused; the server answers 403: list the origin",
    ],
    [502, "<html>", "refused; HTTP 502: the server fails, or a proxy cannot reach it"],
    [0, "", "refused; no answer: the server is down, the host or port is wrong, or something blocks the way"],
  ] as const)
    test(`a WebSocket that is refused: ${words}`, async () => {
      const world = new World();
      const { channel } = world.channel();
      (await world.socket()).end(1006);
      await world.openStream();
      const get = await plainGet(world);
      assert.deepEqual([get.url, get.init.method], ["http://localhost/chat/websocket", undefined]);
      if (status) get.respond(status, body);
      else get.fail();
      await world.settle();
      assert.equal(channel.explain()[0]!.reason, words);
    });

  test("a WebSocket that is upgraded and mute", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.socket();
    await world.pass(0.5);
    socket.open();
    await world.pass(1);
    await world.openStream();
    await world.pass(7);
    assert.match(channel.explain()[0]!.reason, /^upgraded after 0\.50 s, no body for 7\.50 s: something buffers it/);
  });
});
