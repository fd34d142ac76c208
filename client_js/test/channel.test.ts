import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Channel } from "../src/channel.ts";
import { ChannelError } from "../src/errors.ts";
import { World, opened } from "./world.ts";

/** What became of a send, as it stands now. */
function watch(promise: Promise<void>): { outcome: string } {
  const watched = { outcome: "pending" };
  promise.then(
    () => (watched.outcome = "handled"),
    (error: ChannelError) => (watched.outcome = `${error.code}: ${error.fate}`),
  );
  return watched;
}

function listen(channel: Channel): unknown[] {
  const seen: unknown[] = [];
  channel.addEventListener("message", ({ data, recovered }) => seen.push(recovered ? { recovered: data } : data));
  return seen;
}

const answer = (fields: object): object => ({ type: "ack", ack: 0, received: 0, sent: 0, attached: true, ...fields });

describe("messages", () => {
  test("sends made before it is open keep their order in one frame (DAT-1)", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    const first = watch(channel.send("hello"));
    const second = watch(channel.send({ n: 1 }));
    assert.equal(channel.state, "connecting");
    const socket = await world.socket();
    assert.equal(socket.url, "ws://localhost/chat/websocket");
    assert.deepEqual(socket.sent, []);
    socket.open();
    const [open] = socket.take();
    socket.hear(opened(open));
    await world.settle();
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 0 }, [1, 0, "hello", { n: 1 }]]);
    assert.deepEqual(events, [["transport", "websocket"], ["open"]]);
    assert.deepEqual([channel.state, channel.transport, channel.id], ["open", "websocket", "a7"]);
    socket.hear({ type: "ack", ack: 1 });
    await world.settle();
    assert.deepEqual([first.outcome, second.outcome], ["handled", "pending"]);
    socket.hear({ type: "ack", ack: 2 });
    await world.settle();
    assert.equal(second.outcome, "handled");
  });

  test("sends of one turn share a frame, which takes the ack along", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    channel.addEventListener("message", ({ data }) => {
      channel.send(["echo", data]);
    });
    socket.hear([1, 0, "a", "b"]);
    await world.settle();
    assert.deepEqual(socket.take(), [[1, 2, ["echo", "a"], ["echo", "b"]]]);
  });

  test("messages wait for the first listener", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    socket.hear([1, 0, "a", "b"]);
    await world.settle();
    // MRK-3: the ack does not wait for the page.
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 2 }]);
    const seen = listen(channel);
    socket.hear([3, 0, "c"]);
    await world.settle();
    assert.deepEqual(seen, ["a", "b", "c"]);
  });

  test("an iterator keeps what a break leaves, and ends with the channel", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    socket.hear([1, 0, "a", "b"]);
    for await (const message of channel) {
      assert.equal(message, "a");
      break;
    }
    const rest: unknown[] = [];
    const done = (async () => {
      for await (const message of channel) rest.push(message);
    })();
    await world.settle();
    socket.hear([3, 0, "c"]);
    socket.hear({ type: "close", code: 1000, reason: "", by: "app", last: 3, ack: 0 });
    await done;
    assert.deepEqual(rest, ["b", "c"]);
  });

  test("bytes are sent as a binary frame, and received as Uint8Array (DAT-2)", async () => {
    const world = new World();
    const { channel } = world.channel();
    const seen = listen(channel);
    const socket = await world.openSocket();
    const bytes = new Uint8Array([1, 255]);
    channel.send(bytes);
    bytes[0] = 9;
    await world.settle();
    assert.deepEqual(socket.take(), [new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 255])]);
    socket.hear(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7]).buffer);
    await world.settle();
    assert.deepEqual(seen, [new Uint8Array([7])]);
  });

  test("a send that is not awaited causes no unhandled rejection", async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", note);
    const world = new World();
    const { channel } = world.channel();
    channel.send(NaN);
    channel.send("lost");
    await world.settle();
    (await world.socket()).open();
    channel.close();
    await world.pass(100);
    process.off("unhandledRejection", note);
    assert.equal(channel.state, "closed");
    assert.deepEqual(unhandled, []);
  });

  test("messages to be sent and messages not taken are bounded (DAT-6)", async () => {
    const world = new World();
    const { channel, events } = world.channel({ queueMessages: 2 });
    assert.deepEqual([watch(channel.send(1)), watch(channel.send(2))].length, 2);
    const third = watch(channel.send(3));
    await world.settle();
    assert.equal(third.outcome, "buffer_full: not_handled");
    const socket = await world.openSocket();
    socket.hear([1, 2, "a", "b", "c", "d", "e"]);
    await world.settle();
    assert.equal(events.length, 3);
    assert.deepEqual(events.at(-1), ["close", 1011, "too many messages", "protocol", false]);
  });
});

describe("listeners", () => {
  test("a listener that drops the connection in mid-answer loses nothing", async () => {
    for (const leave of ["reconnect", "suspend"] as const) {
      const world = new World();
      const { channel, events } = world.channel({ transports: ["longpoll"] });
      const seen = listen(channel);
      channel.addEventListener("reset", () => channel[leave]());
      let poll = await world.request("poll");
      poll.respond(200, [opened(poll.lines[0])]);
      await world.request("poll");
      channel.reconnect();
      poll = await world.request("poll");
      const reset = { reason: "expired", lost: [], handled: 0, in_hand: 0 };
      poll.respond(200, [opened(poll.lines[0], { verdict: "reset", session: "token-9", reset }), [1, 0, "a"]]);
      await world.settle();
      assert.deepEqual(seen, ["a"]);
      channel.resume();
      // Two attempts in a second, whoever asks for them.
      await world.pass(1.3);
      poll = await world.request("poll");
      const { session, received } = poll.lines[0] as { session: string; received: number };
      assert.deepEqual([session, received], ["token-9", 1]);
      poll.respond(200, [opened(poll.lines[0], { sent: 1 }), [2, 0, "b"]]);
      await world.settle();
      assert.deepEqual(seen, ["a", "b"]);
      assert.equal(channel.state, "open");
      assert.deepEqual(events.at(-1), ["resumed", 0]);
    }
  });

  test("an inbox overflow still settles the sends of the same answer", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["longpoll"], queueMessages: 2 });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    const send = watch(channel.send("x"));
    await world.request("send");
    (await world.request("poll")).respond(200, [[1, 0, "a", "b", "c"], [4, 1, "d"]]);
    await world.settle();
    assert.deepEqual([send.outcome, channel.state, events.at(-1)![1]], ["handled", "closed", 1011]);
  });
});

describe("fallback", () => {
  test("a stream works once a POST beside it was answered", async () => {
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
    post.respond(200, [answer({ ack: 1, received: 1 })]);
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

  test("a stream beside which no POST gets through is given up", async () => {
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
    assert.deepEqual(events.slice(2), [["recovering", "silent"], ["transport", "longpoll"], ["resumed", 0]]);
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
    assert.equal(watch(channel.send("y")).outcome, "pending");
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
    // Both attempts of this second were made.
    await world.pass(0.95);
    assert.equal(world.sockets.length, 0);
    await world.pass(0.1);
    (await world.socket()).end();
    (await world.request("poll")).respond(502, "<html>");
    // The second round waits as long as it lasts.
    await world.pass(0.8);
    assert.equal(world.sockets.length, 0);
    await world.pass(0.5);
    await world.socket();
    assert.equal(channel.state, "connecting");
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

  test("a connection that ends early fails its transport, a steady one does not", async () => {
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

describe("recovery", () => {
  test("a cut is resumed after a random wait without loss or duplicates", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    const seen = listen(channel);
    let socket = await world.openSocket();
    const first = watch(channel.send("one"));
    const second = watch(channel.send("two"));
    await world.settle();
    socket.hear([1, 1, "a"]);
    await world.pass(6);
    socket.end();
    assert.equal(channel.state, "recovering");
    const third = watch(channel.send("three"));
    await world.pass(0.3);
    socket = await world.socket();
    socket.open();
    const [open] = socket.take() as { received: number; first_retained: number }[];
    assert.deepEqual([open!.received, open!.first_retained], [1, 2]);
    socket.hear(opened(open, { received: 1, handled: 1, sent: 3 }));
    await world.settle();
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 1 }, [2, 1, "two", "three"]]);
    socket.hear([2, 3, "b", "c", "d"]);
    await world.settle();
    assert.deepEqual(seen, ["a", { recovered: "b" }, { recovered: "c" }, "d"]);
    assert.deepEqual([first, second, third].map(({ outcome }) => outcome), ["handled", "handled", "handled"]);
    assert.deepEqual(events.slice(2), [
      ["recovering", "closed with 1006"],
      ["resumed", 2],
    ]);
    const { sent, received, acknowledged, replayed, attaches, reconnects } = channel.statistics();
    assert.deepEqual({ sent, received, acknowledged, replayed, attaches, reconnects }, { sent: 3, received: 4, acknowledged: 3, replayed: 2, attaches: 2, reconnects: 1 });
  });

  test("a bare close 1012 is a drain (DRN-1)", async () => {
    const world = new World();
    const { events } = world.channel();
    (await world.openSocket()).end(1012);
    // It did not last: a part of the base as well.
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
      else socket.end();
      await world.pass(0.51);
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
      // Half a second, and as long as nothing worked until then.
      assert.deepEqual(waits, leave === "reconnect" ? [0.5, 1, 2] : [1, 2, 4], leave);
    }
  });

  test("an outage that is over, or was asked for, is forgotten", async () => {
    const waits: Record<string, number> = {};
    for (const leave of ["end", "reconnect", "suspend", "rotate"]) {
      const world = new World();
      world.random = 1;
      const { channel } = world.channel({ transports: ["websocket"] });
      for (const begun = world.now; world.now < begun + 40; ) {
        for (const socket of world.sockets.splice(0)) socket.end();
        await world.pass(0.05);
      }
      while (!world.sockets.length) await world.pass(0.05);
      let socket = await world.openSocket();
      for (let minute = 0; minute < 60; minute++)
        for (let second = 0; second < 60; second += 10) {
          await world.pass(10);
          socket.hear({ type: "ping" });
          await world.settle();
        }
      if (leave === "rotate") {
        // It stands for a moment only, but the session was carried for an hour.
        channel._driver.connector.active!.rotateAt = world.now;
        channel._driver.schedule();
        await world.pass(0.1);
        socket = await world.openSocket();
        socket.hear({ type: "ping" });
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

  test("a server that drops new connections is retried less and less often", async () => {
    const world = new World();
    world.random = 1;
    const { channel } = world.channel({ transports: ["websocket"] });
    for (let second = 0; second < 60; second += 0.1) {
      for (const socket of world.sockets.splice(0)) {
        socket.open();
        socket.hear(opened(socket.take()[0]));
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
      for (const poll of world.requests.splice(0)) poll.respond(200, [opened(poll.lines[0]), { type: "drain", retry_in: 0 }]);
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
    world.environment.setTimeout(() => socket.hear({ type: "ping" }), 0);
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

  test("reset reports the fate of each send and begins a session (RES-3)", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["websocket"] });
    (await world.openSocket()).end();
    const sends = [channel.send("a"), channel.send("b")].map(watch);
    await world.pass(1);
    const socket = await world.socket();
    socket.open();
    const [open] = socket.take();
    socket.hear(opened(open, { id: "a8", verdict: "reset", session: "token-9", reset: { reason: "expired", lost: [1, 2], handled: 0, in_hand: 0 } }));
    const later = watch(channel.send("c"));
    await world.settle();
    assert.deepEqual(sends.map(({ outcome }) => outcome), ["reset: not_handled", "reset: not_handled"]);
    assert.deepEqual(events.slice(-2), [
      ["reset", "expired", [1, 2], [{ message: "a", fate: "not_handled" }, { message: "b", fate: "not_handled" }]],
      ["open"],
    ]);
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 0 }, [1, 0, "c"]]);
    assert.equal(later.outcome, "pending");
  });

  test("too_many delays the retry and fails no transport", async () => {
    const world = new World();
    world.channel({ transports: ["sse", "longpoll"] });
    (await world.request("sse")).respond(429, [{ type: "error", code: "too_many", message: "", retry_in: 7 }]);
    await world.pass(6.9);
    assert.equal(world.requests.length, 0);
    await world.pass(1);
    await world.request("sse");
  });
});

describe("HTTP", () => {
  async function openStream(world: World): Promise<Awaited<ReturnType<World["request"]>>> {
    const stream = await world.request("sse");
    stream.stream();
    stream.event(opened(stream.lines[0]));
    stream.event({ type: "ack", ack: 0 });
    (await world.request("send")).respond(200, [answer({})]);
    await world.settle();
    return stream;
  }

  test("a failed POST is repeated after a delay, unless the downlink is cut", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    const stream = await openStream(world);
    for (const cut of [false, true]) {
      channel.send("x");
      (await world.request("send")).fail();
      await world.pass(0.2);
      assert.equal(world.requests.length, 0);
      if (cut) break;
      await world.pass(0.1);
      (await world.request("send")).respond(200, [answer({ ack: 1, received: 1 })]);
      await world.pass(5);
    }
    stream.end();
    await world.pass(5);
    await world.request("sse");
    assert.equal(world.requests.length, 0);
  });

  test("one POST is in flight; later sends wait for the next (SND-1)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    await openStream(world);
    channel.send(1);
    const post = await world.request("send");
    channel.send(2);
    await world.settle();
    channel.send(3);
    await world.settle();
    assert.equal(world.requests.length, 0);
    post.respond(200, [answer({ received: 1 })]);
    assert.deepEqual((await world.request("send")).lines.slice(1), [[2, 0, 2, 3]]);
  });

  test("a POST without an answer is repeated after 10 s (SND-1)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    await openStream(world);
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
    const stream = await openStream(world);
    const bytes = new TextEncoder().encode('data: [1,0,"\u2028\u{1F600}"]\r\n\r\n');
    for (const byte of bytes) stream.chunk(new Uint8Array([byte]));
    stream.chunk(new Uint8Array([10]));
    await world.settle();
    assert.deepEqual(seen, ["\u2028\u{1F600}"]);
  });

  test("a stream that ends without an error is resumed (SSE-3)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    const stream = await openStream(world);
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
    await openStream(world);
    await world.pass(6);
    channel.send("x");
    (await world.request("send")).respond(200, [answer({ ack: 1, received: 1, sent: 1 })]);
    await world.pass(5.1);
    assert.equal(channel.explain()[0]!.reason, "mute: something buffers it");
    await world.pass(0.5);
    await world.request("poll");
  });

  test("polls follow one another, with POSTs beside them (POL-1)", async () => {
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

  test("a poll that is cut is repeated (POL-2)", async () => {
    const world = new World();
    world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    const first = await world.request("poll");
    await world.pass(15);
    first.respond(504, "<html>");
    // And asked to be held for less time than something on the way allows.
    assert.deepEqual((await world.request("poll")).lines, [{ ...(first.lines[0] as object), hold: 7.5 }]);
  });

  test("URLs keep their query; a final slash and ws: are normalized", async () => {
    const world = new World();
    world.channel({ transports: ["sse"], withCredentials: true }, "wss://example.org/chat/room-7/?lang=de#here");
    const { url, init } = await world.request("sse");
    assert.equal(url, "https://example.org/chat/room-7/sse?lang=de");
    assert.equal(init.credentials, "include");
    world.channel({}, "https://example.org/chat?lang=de");
    assert.equal((await world.socket()).url, "wss://example.org/chat/websocket?lang=de");
  });
});

describe("control", () => {
  test("credentials are asked for at each attach and renewal (REN-1)", async () => {
    const world = new World();
    let asked = 0;
    const { channel } = world.channel({ credentials: async () => ({ token: ++asked }) });
    let socket = await world.socket();
    socket.open();
    let [open] = socket.take();
    assert.deepEqual((open as { credentials: unknown }).credentials, { token: 1 });
    socket.hear(opened(open));
    await world.settle();
    socket.take();
    socket.hear({ type: "renew", within: 30 });
    await world.settle();
    assert.deepEqual(socket.take(), [{ type: "renew", credentials: { token: 2 } }]);
    channel.reconnect();
    socket = await world.socket();
    socket.open();
    [open] = socket.take();
    assert.deepEqual((open as { credentials: unknown }).credentials, { token: 3 });
  });

  test("credentials that are rejected fail the attempt", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket"], credentials: () => Promise.reject(new Error("no network")) });
    await world.settle();
    assert.equal(channel.explain()[0]!.reason, "Error: no network");
    assert.equal(channel.state, "connecting");
  });

  test("a transport that is removed is left at once, and replaced", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    const socket = await world.openSocket();
    channel.transports = ["longpoll"];
    assert.equal(socket.readyState, 3);
    const poll = await world.request("poll");
    poll.respond(200, [opened(poll.lines[0])]);
    await world.settle();
    assert.deepEqual(events.slice(2), [["recovering", "forbidden"], ["transport", "longpoll"], ["resumed", 0]]);
    assert.throws(() => (channel.transports = []), ChannelError);
  });

  test("suspend keeps the channel away until resume", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    channel.suspend();
    assert.deepEqual([channel.state, socket.readyState], ["suspended", 3]);
    await world.pass(100);
    channel.reconnect();
    channel.transports = ["websocket", "sse"];
    await world.pass(100);
    assert.equal(channel.state, "suspended");
    assert.equal(world.sockets.length, 0);
    channel.resume();
    assert.equal(channel.state, "recovering");
    await world.openSocket();
    assert.equal(channel.state, "open");
  });

  test("credentials may take longer than a transport may", async () => {
    const world = new World();
    let give!: (credentials: string) => void;
    world.channel({ credentials: () => new Promise((resolve) => (give = resolve)) });
    await world.pass(9);
    give("late");
    await world.pass(3);
    await world.openSocket();
  });

  test("close resumes a suspended channel to flush it", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    await world.openSocket();
    channel.suspend();
    channel.close();
    const socket = await world.socket();
    socket.open();
    socket.hear(opened(socket.take()[0]));
    await world.settle();
    assert.deepEqual(socket.take().slice(1), [{ type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 }]);
    socket.hear({ type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 });
    assert.deepEqual(events.at(-1), ["close", 1000, "", "app", true]);
  });

  test("a wrong argument throws at the call", async () => {
    const world = new World();
    assert.throws(() => world.channel({ transports: ["carrier-pigeon" as "sse"] }), ChannelError);
    assert.throws(() => world.channel({}, "/relative"), TypeError);
    const { channel } = world.channel();
    assert.throws(() => channel.close(1001), ChannelError);
    assert.throws(() => channel.close(3000, "x".repeat(124)), ChannelError);
  });
});

describe("close", () => {
  test("everything sent before close is handled first (CLS-2)", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    const send = watch(channel.send("x"));
    const closed = watch(channel.close(3001, "done"));
    const late = watch(channel.send("y"));
    const socket = await world.socket();
    socket.open();
    socket.hear(opened(socket.take()[0]));
    await world.settle();
    assert.equal(late.outcome, "closed: not_handled");
    assert.deepEqual(socket.take().slice(1), [[1, 0, "x"], { type: "close", code: 3001, reason: "done", by: "app", last: 1, ack: 0 }]);
    assert.equal(closed.outcome, "pending");
    socket.hear([1, 1, "bye"]);
    socket.hear({ type: "close", code: 3001, reason: "done", by: "app", last: 1, ack: 1 });
    await world.settle();
    assert.deepEqual([send.outcome, closed.outcome, channel.state], ["handled", "handled", "closed"]);
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 1 }]);
    assert.equal(socket.readyState, 3);
    assert.deepEqual(events.at(-1), ["close", 3001, "done", "app", true]);
  });

  test("a channel that never connected is closed at once", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    await channel.close();
    await world.pass(10);
    assert.deepEqual([events, world.sockets.length], [[["close", 1000, "", "app", true]], 0]);
  });

  test("an unreachable server is given up, and fates are reported", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["websocket"] });
    const socket = await world.openSocket();
    const sent = watch(channel.send("x"));
    await world.settle();
    socket.end();
    const unsent = watch(channel.send("y"));
    const closed = watch(channel.close());
    await world.pass(29);
    assert.equal(closed.outcome, "pending");
    await world.pass(2);
    assert.deepEqual([sent.outcome, unsent.outcome, closed.outcome], ["closed: unknown", "closed: not_handled", "handled"]);
    assert.deepEqual(events.at(-1), ["close", 1001, "unreachable", "protocol", false]);
  });

  test("answers of an intermediary do not prolong the close", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse", "longpoll"] });
    const stream = await world.request("sse");
    stream.stream();
    stream.event(opened(stream.lines[0]));
    (await world.request("send")).respond(200, [answer({})]);
    await world.settle();
    const sent = watch(channel.send("x"));
    await world.settle();
    stream.end();
    const closed = watch(channel.close());
    for (let second = 0; second < 40; second++) {
      for (const request of world.requests.splice(0)) request.respond(200, "<html>log in</html>", "text/html");
      await world.pass(1);
    }
    assert.deepEqual([closed.outcome, sent.outcome], ["handled", "closed: unknown"]);
  });

  test("close does not wait for a backoff", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    (await world.request("sse")).respond(503, [{ type: "error", code: "unavailable", message: "", retry_in: 60 }]);
    await world.settle();
    channel.send("x");
    channel.close();
    await world.request("sse");
  });

  test("the server's close is answered although a POST is in flight (CLS-3)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    const send = watch(channel.send("x"));
    open.respond(200, [opened(open.lines[0])]);
    await world.request("send");
    (await world.request("poll")).respond(200, [[1, 0, "bye"], { type: "close", code: 4000, reason: "r", by: "app", last: 1, ack: 0 }]);
    assert.deepEqual((await world.request("send")).lines.slice(1), [{ type: "close", code: 4000, reason: "r", by: "app", last: 1, ack: 1 }]);
    assert.equal(send.outcome, "closed: not_handled");
    assert.equal(world.requests.length, 0);
  });

  test("another page that takes the session closes this channel (ATT-5)", async () => {
    const world = new World();
    const { events } = world.channel();
    const socket = await world.openSocket();
    socket.hear({ type: "error", code: "superseded", message: "", attach: 9, client: "another-0123456789" });
    await world.pass(60);
    assert.deepEqual(events.at(-1), ["close", 4409, "superseded: taken by another page", "protocol", false]);
    assert.equal(world.sockets.length, 0);
  });
});
