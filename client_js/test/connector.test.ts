// Which transport is used when others fail.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { watch } from "./observe.ts";
import { World, opened, postAnswer } from "./world.ts";

describe("fallback", () => {
  test("a stream works once one of its POSTs was answered", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    channel.send("hello");
    (await world.socket()).end(1006);
    const stream = await world.request("sse");
    stream.stream();
    const [open] = stream.lines;
    assert.equal((open as { attach: number }).attach, 2);
    assert.deepEqual(stream.init.headers, { "Content-Type": "application/x-ndjson", Accept: "text/event-stream" });
    stream.event(opened(open));
    const post = await world.request("send");
    assert.deepEqual(post.lines.slice(1), [[1, 0, "hello"]]);
    assert.equal(channel.explain()[1]!.outcome, "open");
    post.respond(200, [postAnswer({ ack: 1, received: 1 })]);
    await world.settle();
    assert.deepEqual(
      channel.explain().map(({ transport, outcome, reason }) => [transport, outcome, reason]),
      [
        ["websocket", "failed", "refused"],
        ["sse", "open", ""],
      ],
    );
    assert.deepEqual(events, [["transport", "sse"], ["open"]]);
    assert.deepEqual(channel.statistics().attempts, { websocket: 1, sse: 1, longpoll: 0 });
  });

  test("a stream is dropped if its POSTs get no answer", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["sse", "longpoll"] });
    const stream = await world.request("sse");
    await world.pass(1);
    stream.stream();
    stream.event(opened(stream.lines[0]));
    stream.event({ type: "ack", ack: 0 });
    await world.request("send");
    const [attempt] = channel.explain();
    assert.deepEqual([channel.state, attempt!.outcome, Math.round(attempt!.milliseconds)], ["open", "open", 1000]);
    await world.pass(10.1);
    assert.deepEqual([channel.explain()[0]!.outcome, stream.aborted], ["lost", true]);
    const poll = await world.request("poll");
    poll.respond(200, [opened(poll.lines[0])]);
    await world.settle();
    assert.deepEqual(events.slice(2), [
      ["recovering", "silent"],
      ["transport", "longpoll"],
      ["resumed", 0],
    ]);
  });

  test("each transport has a head start on the next, and 8 s in all", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.socket();
    await world.pass(1.1);
    assert.equal(world.requests.length, 0);
    await world.pass(0.2);
    const stream = await world.request("sse");
    stream.stream();
    await world.pass(1);
    assert.equal(world.requests.length, 0);
    await world.pass(0.2);
    const poll = await world.request("poll");
    assert.deepEqual([socket.readyState, stream.aborted], [0, false]);
    poll.respond(200, [opened(poll.lines[0])]);
    await world.settle();
    assert.equal(channel.transport, "longpoll");
    await world.pass(5.6);
    assert.deepEqual([socket.readyState, stream.aborted], [3, false]);
    await world.pass(1.2);
    assert.equal(stream.aborted, true);
    assert.deepEqual(
      channel.explain().map(({ outcome, reason }) => [outcome, reason]),
      [
        ["failed", "no answer for 8.00 s"],
        ["failed", "headers after 0.10 s, no body for 7.90 s: something buffers it"],
        ["open", ""],
      ],
    );
  });

  test("a proxy's answer fails one transport only", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse", "longpoll"] });
    (await world.request("sse")).respond(405, "<html>Method Not Allowed</html>", "text/html");
    await world.settle();
    assert.equal(channel.state, "connecting");
    assert.equal(channel.explain()[0]!.reason, "HTTP 405");
    await world.request("poll");
  });

  test("a fatal refusal closes the channel (section 13)", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["sse", "longpoll"] });
    const send = watch(channel.send("x"));
    (await world.request("sse")).respond(401, [{ type: "error", code: "unauthorized", message: "no such user" }]);
    await world.settle();
    assert.deepEqual(events, [["close", 4401, "unauthorized: no such user", "protocol", false]]);
    const { outcome, reason } = channel.explain()[0]!;
    assert.deepEqual([outcome, reason], ["failed", "unauthorized: no such user"]);
    assert.equal(send.outcome, "closed: not_handled");
    const late = watch(channel.send("y"));
    await world.settle();
    assert.equal(late.outcome, "closed: not_handled");
  });

  test("an outage is followed by a new round from the best transport", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket", "longpoll"] });
    (await world.socket()).end();
    (await world.request("poll")).fail();
    await world.settle();
    assert.equal(world.sockets.length, 0);
    await world.pass(0.24);
    assert.equal(world.sockets.length, 0);
    // The retry budget of this second is spent.
    await world.pass(0.95);
    assert.equal(world.sockets.length, 0);
    await world.pass(0.1);
    (await world.socket()).end();
    // A plain GET that asks why the first round failed has a place in the retry budget.
    await world.pass(1.3);
    (await world.request("poll")).respond(502, "<html>");
    // The second round waits up to the length of the outage.
    await world.pass(1.2);
    assert.equal(world.sockets.length, 0);
    await world.pass(0.5);
    await world.socket();
    assert.equal(channel.state, "connecting");
  });

  test("a channel goes on after an outage if a transport is named twice", async () => {
    const world = new World();
    world.channel({ transports: ["sse", "sse"] });
    (await world.request("sse")).fail();
    await world.pass(2);
    await world.request("sse");
  });

  test("an option that is undefined has its default", async () => {
    const world = new World();
    const missing: object = { openTimeout: undefined, retryBase: undefined, retryMax: undefined };
    world.channel({ transports: ["websocket"], ...missing });
    await world.socket();
    await world.pass(8.1);
    await world.pass(4);
    assert.equal(world.sockets.length, 0);
    await world.pass(0.5);
    assert.equal(world.sockets.length, 1);
  });

  test("a connection that ends early fails its transport, a stable one does not", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket", "longpoll"] });
    let socket = await world.openSocket();
    await world.pass(6);
    socket.end();
    await world.pass(0.5);
    socket = await world.openSocket();
    socket.end();
    await world.pass(1);
    await world.request("poll");
    assert.deepEqual(
      channel.explain().map(({ transport }) => transport),
      ["websocket", "websocket", "longpoll"],
    );
  });
});
