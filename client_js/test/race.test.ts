// Several connections in parallel: which becomes active, which takes over, and what failures teach.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { listen, outcomes, watch } from "./observe.ts";
import { World, opened, postAnswer } from "./world.ts";
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

describe("race", () => {
  test("the opens share a nonce, with an attach number each", async () => {
    const world = new World();
    world.channel();
    const socket = await world.socket();
    socket.open();
    await world.pass(3);
    const opens = [socket.take()[0], (await world.request("sse")).lines[0], (await world.request("poll")).lines[0]] as {
      nonce: string;
      attach: number;
    }[];
    assert.equal(new Set(opens.map(({ nonce }) => nonce)).size, 1);
    assert.deepEqual(
      opens.map(({ attach }) => attach),
      [1, 2, 3],
    );
  });

  test("the first to open becomes active, worse ones are dropped", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    const socket = await world.socket();
    await world.pass(1.3);
    const stream = await world.request("sse");
    socket.open();
    socket.receive(opened(socket.take()[0]));
    await world.settle();
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 0 }]);
    assert.equal(stream.aborted, true);
    assert.deepEqual(events, [["transport", "websocket"], ["open"]]);
    assert.deepEqual(outcomes(channel), ["websocket open", "sse left not needed"]);
    await world.pass(30);
    assert.equal(world.requests.length, 0);
  });

  test("a better one that opens late takes over without loss or replay", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    const seen = listen(channel);
    const late = await world.socket();
    await world.pass(1.3);
    const stream = await world.openStream();
    stream.event([1, 0, "a"]);
    await world.settle();
    channel.send("x");
    const post = await world.request("send");
    assert.deepEqual(post.lines.slice(1), [[1, 1, "x"]]);
    // The attach of the stream is confirmed, so that of the socket is refused. That proves that WebSocket works.
    late.open();
    const [{ client }] = late.take() as [{ client: string }];
    late.receive({ type: "error", code: "superseded", message: "", attach: 2, client });
    const socket = await world.socket();
    socket.open();
    const [open] = socket.take() as { attach: number; received: number; first_retained: number }[];
    assert.deepEqual([open!.attach, open!.received, open!.first_retained], [3, 1, 1]);
    // What is sent in the meantime uses the stream. The POST in flight was taken; its answer is late.
    channel.send("y");
    stream.event([2, 0, "b"]);
    await world.settle();
    assert.equal(channel.state, "open");
    socket.receive(opened(open, { received: 1, sent: 3 }));
    socket.receive([2, 0, "b", "c"]);
    await world.settle();
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 3 }, [2, 3, "y"]]);
    assert.equal(stream.aborted, true);
    assert.equal(post.aborted, false);
    post.respond(200, [postAnswer({ ack: 1, received: 1 })]);
    await world.settle();
    assert.deepEqual(seen, ["a", "b", "c"]);
    assert.deepEqual(events, [["transport", "sse"], ["open"], ["transport", "websocket"]]);
    assert.deepEqual(outcomes(channel), ["websocket left superseded", "sse lost replaced", "websocket open"]);
    assert.deepEqual(channel.statistics().reconnects, 0);
  });

  test("a WebSocket that opens after being superseded is reopened", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    const late = await world.socket();
    late.open();
    const [open] = late.take();
    await world.pass(1.3);
    const stream = await world.openStream();
    late.receive(opened(open));
    await world.settle();
    assert.deepEqual([late.readyState, stream.aborted], [3, false]);
    await world.openSocket();
    assert.equal(channel.transport, "websocket");
    assert.deepEqual(events, [["transport", "sse"], ["open"], ["transport", "websocket"]]);
  });

  test("two opens in one turn fire a single open event", async () => {
    const world = new World();
    const { events } = world.channel();
    const socket = await world.socket();
    socket.open();
    await world.pass(2.5);
    const poll = await world.request("poll");
    poll.respond(200, [opened(poll.lines[0])]);
    // The answer is read in one turn, and confirmed in the next.
    for (let turn = 0; !events.length; turn++) await Promise.resolve();
    socket.receive(opened(socket.take()[0], { attach: 1 }));
    await world.settle();
    assert.equal(events.filter(([type]) => type === "open").length, 1);
    assert.equal(events.filter(([type]) => type === "recovering").length, 0);
  });

  test("close waits for pending attempts", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.socket();
    channel.close();
    await world.settle();
    socket.open();
    socket.receive(opened(socket.take()[0]));
    await world.settle();
    assert.deepEqual(socket.take().slice(1), [{ type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 }]);
  });

  test("attempts that are pending when the channel closes have not failed", async () => {
    const world = new World();
    const { channel } = world.channel();
    await world.socket();
    await world.pass(1.3);
    const stream = await world.openStream();
    const send = watch(channel.send("x"));
    channel.close(3001, "bye");
    await world.request("send");
    stream.event({ type: "close", code: 3001, reason: "bye", by: "app", last: 0, ack: 0 });
    await world.settle();
    assert.deepEqual(outcomes(channel), ["websocket left bye", "sse lost bye"]);
    assert.equal(send.outcome, "closed: not_handled");
  });

  test("a pending ack is sent while a probe is starting", async () => {
    const world = new World();
    const { channel } = world.channel();
    listen(channel);
    await world.socket();
    await world.pass(1.3);
    const stream = await world.openStream();
    stream.event([1, 0, "a"]);
    await world.settle();
    channel.transports = ["websocket", "sse"];
    await world.pass(0.15);
    assert.deepEqual((await world.request("send")).lines.slice(1), [{ type: "ack", ack: 1 }]);
  });

  test("a poll overtakes a stream that is buffered", async () => {
    const world = new World();
    const { channel } = world.channel();
    await world.pass(2.5);
    (await world.request("sse")).stream();
    const poll = await world.request("poll");
    poll.respond(200, [opened(poll.lines[0])]);
    await world.settle();
    assert.equal(channel.transport, "longpoll");
  });

  test("attempts stay within the retry budget whatever happens", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket", "sse"] });
    await world.settle();
    let sockets = 0;
    for (let turn = 0; turn < 600; turn++) {
      channel.transports = ["websocket", "sse"];
      channel.reconnect();
      sockets += world.sockets.length;
      for (const socket of world.sockets.splice(0)) socket.end();
      for (const request of world.requests.splice(0)) request.fail();
      await world.pass(0.1);
    }
    // 20 in parallel, then 2 per second.
    const { websocket, sse } = channel.statistics().attempts;
    assert.ok(sockets > 20 && websocket + sse <= 145, `${sockets} ${websocket} ${sse}`);
  });
});

describe("slow credentials", () => {
  /** Returns a function that gives credentials after each of these delays, the last one for ever. */
  const slowly = (world: World, delays: number[]) => () =>
    new Promise((resolve) =>
      world.environment.setTimeout(() => resolve("c"), 1000 * (delays.length > 1 ? delays.shift()! : delays[0]!)),
    );

  test("attempts do not bunch when the first took long", async () => {
    const world = new World();
    world.random = 0;
    world.channel({ credentials: slowly(world, [1.2, 0]) });
    const times: number[] = [];
    const begun = world.now;
    while (world.now < begun + 6) {
      for (const socket of world.sockets.splice(0)) (times.push(world.now), socket.end());
      for (const request of world.requests.splice(0)) (times.push(world.now), request.fail());
      for (const get of world.gets.splice(0)) (times.push(world.now), get.fail());
      await world.pass(0.01);
    }
    assert.ok(times.length >= 6, `${times}`);
    for (const [index, time] of times.slice(2).entries()) assert.ok(time - times[index]! > 1.1, `${times}`);
  });

  test("credentials that fail are requested within the retry budget", async () => {
    const world = new World();
    world.random = 0;
    let asked = 0;
    const credentials = (): Promise<never> => (asked++, Promise.reject(new Error("none")));
    world.channel({ credentials });
    await world.pass(10);
    assert.ok(asked > 8 && asked <= 20, `${asked}`);
  });

  test("their time does not make a connection steady", async () => {
    const world = new World();
    world.random = 1;
    const { channel } = world.channel({ transports: ["websocket"], credentials: slowly(world, [5.1]) });
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
    assert.ok(attaches > 2 && attaches < 8, `${attaches}`);
  });
});

describe("a stream that is buffered", () => {
  test("falls back to polls without a second event, and gets a penalty", async () => {
    const world = new World();
    world.random = 1;
    const { channel, events } = world.channel({ transports: ["sse", "longpoll"] });
    const stream = await world.request("sse");
    stream.stream();
    stream.event(opened(stream.lines[0]));
    (await world.request("send")).respond(200, [postAnswer()]);
    await world.pass(1.9);
    assert.equal(channel.state, "open");
    await world.pass(0.2);
    const poll = await world.request("poll");
    poll.respond(200, [opened(poll.lines[0])]);
    await world.settle();
    assert.deepEqual(outcomes(channel), ["sse lost mute: something buffers it", "longpoll open"]);
    assert.deepEqual(events.slice(2), [
      ["recovering", "mute"],
      ["transport", "longpoll"],
      ["resumed", 0],
    ]);
    await keepPolling(world, 290);
    assert.equal(channel.statistics().attempts.sse, 1);
    await keepPolling(world, 10);
    await world.pass(3);
    // If it is still buffered the session is not interrupted: a stream takes over only with its second event.
    assert.equal(channel.statistics().attempts.sse, 2);
    const again = await world.request("sse");
    again.stream();
    again.event(opened(again.lines[0]));
    await world.settle();
    assert.equal(channel.transport, "longpoll");
    again.event({ type: "ack", ack: 0 });
    await world.settle();
    assert.equal(channel.transport, "sse");
    assert.equal(channel.state, "open");
  });
});

/** Answers polls for that many seconds. */
async function keepPolling(world: World, seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 10) {
    const polls = world.requests.filter(({ url }) => url.endsWith("/poll"));
    for (const poll of polls) {
      world.requests.splice(world.requests.indexOf(poll), 1);
      poll.respond(200, [{ type: "ack", ack: 0 }]);
    }
    await world.pass(10);
  }
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
      '{"type":"error","code":"upgrade_required","message":""}',
      "refused; a plain GET of its URL answers our 426: a proxy strips the upgrade",
    ],
    [
      403,
      '{"type":"error","code":"forbidden_origin","message":""}',
      "refused; a plain GET of its URL answers our 403: not this origin",
    ],
    [502, "<html>", "refused; a plain GET of its URL answers 502"],
    [0, "", "refused; a plain GET of its URL fails"],
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
