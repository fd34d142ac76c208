// Requests of server-sent events and long polling.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { listen } from "./observe.ts";
import { World, opened, postAnswer } from "./world.ts";

describe("HTTP", () => {
  test("a failed POST is repeated after a delay, unless the downlink is cut", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    const stream = await world.openStream();
    await world.pass(5);
    for (const cut of [false, true]) {
      channel.send("x");
      (await world.request("send")).fail();
      await world.pass(0.2);
      assert.equal(world.requests.length, 0);
      if (cut) break;
      await world.pass(0.1);
      (await world.request("send")).respond(200, [postAnswer({ ack: 1, received: 1 })]);
      await world.pass(5);
    }
    stream.end();
    await world.pass(5);
    await world.request("sse");
    assert.equal(world.requests.length, 0);
  });

  test("a POST that fails again waits until the retry budget is free (SND-1)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    await world.openStream();
    await world.pass(5);
    channel.send("x");
    (await world.request("send")).respond(502, "<html>");
    await world.pass(0.3);
    (await world.request("send")).respond(502, "<html>");
    await world.pass(1);
    assert.equal(world.requests.length, 0);
    await world.pass(0.3);
    (await world.request("send")).respond(200, [postAnswer({ ack: 1, received: 1 })]);
    await world.pass(1);
    assert.deepEqual([channel.state, channel.statistics().attaches], ["open", 1]);
  });

  test("one POST is in flight; later sends wait for the next (SND-1)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    await world.openStream();
    channel.send(1);
    const post = await world.request("send");
    channel.send(2);
    await world.settle();
    channel.send(3);
    await world.settle();
    assert.equal(world.requests.length, 0);
    post.respond(200, [postAnswer({ received: 1 })]);
    assert.deepEqual((await world.request("send")).lines.slice(1), [[2, 0, 2, 3]]);
  });

  test("a POST without an answer is repeated after 10 s (SND-1)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    await world.openStream();
    channel.send(1);
    const post = await world.request("send");
    channel.send(2);
    await world.pass(10.3);
    assert.equal(post.aborted, true);
    assert.deepEqual((await world.request("send")).lines.slice(1), [[1, 0, 1, 2]]);
  });

  test("a character that is split over chunks is decoded (SSE-1)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    const seen = listen(channel);
    const stream = await world.openStream();
    const bytes = new TextEncoder().encode('data: [1,0,"\u2028\u{1F600}"]\r\n\r\n');
    for (const byte of bytes) stream.chunk(new Uint8Array([byte]));
    stream.chunk(new Uint8Array([10]));
    await world.settle();
    assert.deepEqual(seen, ["\u2028\u{1F600}"]);
  });

  test("a stream that ends without an error is resumed (SSE-3)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    const stream = await world.openStream();
    await world.pass(6);
    stream.end();
    await world.settle();
    assert.equal(channel.state, "recovering");
    assert.equal(channel.explain()[0]!.reason, "ended");
    await world.pass(1);
    await world.request("sse");
  });

  test("a stream that goes mute fails its transport, however old (SND-2)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse", "longpoll"] });
    await world.openStream();
    await world.pass(6);
    channel.send("x");
    (await world.request("send")).respond(200, [postAnswer({ ack: 1, received: 1, sent: 1 })]);
    await world.pass(5.1);
    assert.equal(channel.explain()[0]!.reason, "mute: something buffers it");
    await world.pass(0.5);
    await world.request("poll");
  });

  test("polls follow one another, with POSTs in parallel (POL-1)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["longpoll"] });
    const seen = listen(channel);
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0]), [1, 0, "a"]]);
    const first = await world.request("poll");
    const { type, poll, ack } = first.lines[0] as { type: string; poll: number; ack: number };
    assert.deepEqual({ type, poll, ack }, { type: "poll", poll: 1, ack: 1 });
    channel.send("x");
    assert.deepEqual((await world.request("send")).lines.slice(1), [[1, 1, "x"]]);
    first.respond(200, [[2, 1, "b"]]);
    assert.equal(((await world.request("poll")).lines[0] as { ack: number }).ack, 2);
    assert.deepEqual(seen, ["a", "b"]);
  });

  test("each poll has a signal of its own, and the last one is aborted", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    const signals = [open.init.signal];
    for (let poll = 0; poll < 20; poll++) {
      const request = await world.request("poll");
      signals.push(request.init.signal);
      request.respond(200, [{ type: "ack", ack: 0 }]);
    }
    const last = await world.request("poll");
    channel.suspend();
    assert.deepEqual([new Set(signals).size, last.aborted], [21, true]);
  });

  test("a poll that is cut is repeated (POL-2)", async () => {
    const world = new World();
    world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    const first = await world.request("poll");
    await world.pass(15);
    first.respond(504, "<html>");
    // It asks for a shorter hold than the intermediary allows.
    assert.deepEqual((await world.request("poll")).lines, [{ ...(first.lines[0] as object), hold: 7.5 }]);
  });

  test("time in which the retry budget holds an answer back does not shorten the hold", async () => {
    const world = new World();
    world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    for (let cut = 0; cut < 2; cut++) {
      const poll = await world.request("poll");
      await world.pass(0.05);
      poll.respond(502, "<html>");
    }
    await world.pass(2);
    assert.equal("hold" in ((await world.request("poll")).lines[0] as object), false);
  });

  test("URLs keep their query; a final slash and ws: are normalized (WS-1, HTTP-1)", async () => {
    const world = new World();
    world.channel({ transports: ["sse"], withCredentials: true }, "wss://example.org/chat/room-7/?lang=de#here");
    const { url, init } = await world.request("sse");
    assert.equal(url, "https://example.org/chat/room-7/sse?lang=de");
    assert.equal(init.credentials, "include");
    world.channel({}, "https://example.org/chat?lang=de");
    assert.equal((await world.socket()).url, "wss://example.org/chat/websocket?lang=de");
  });
});
