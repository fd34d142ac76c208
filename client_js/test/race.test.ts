// Several connections in parallel: which becomes active, which takes over, and when each is started.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { listen, outcomes, watch } from "./observe.ts";
import { World, opened, postAnswer } from "./world.ts";

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
    await world.pass(0.55);
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
