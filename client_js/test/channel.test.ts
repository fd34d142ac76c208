// The public interface: what an application calls and listens to.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ChannelError } from "../src/errors.ts";
import { listen, watch } from "./observe.ts";
import { World, opened, postAnswer } from "./world.ts";

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
    socket.receive(opened(open));
    await world.settle();
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 0 }, [1, 0, "hello", { n: 1 }]]);
    assert.deepEqual(events, [["transport", "websocket"], ["open"]]);
    assert.deepEqual([channel.state, channel.transport, channel.id], ["open", "websocket", "a7"]);
    socket.receive({ type: "ack", ack: 1 });
    await world.settle();
    assert.deepEqual([first.outcome, second.outcome], ["handled", "pending"]);
    socket.receive({ type: "ack", ack: 2 });
    await world.settle();
    assert.equal(second.outcome, "handled");
  });

  test("sends of one turn share a frame, which carries the ack", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    channel.addEventListener("message", ({ data }) => {
      channel.send(["echo", data]);
    });
    socket.receive([1, 0, "a", "b"]);
    await world.settle();
    assert.deepEqual(socket.take(), [[1, 2, ["echo", "a"], ["echo", "b"]]]);
  });

  test("messages wait for the first listener", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    socket.receive([1, 0, "a", "b"]);
    await world.settle();
    // MRK-3: the ack does not wait for the page.
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 2 }]);
    const seen = listen(channel);
    socket.receive([3, 0, "c"]);
    await world.settle();
    assert.deepEqual(seen, ["a", "b", "c"]);
  });

  test("a new iterator continues after a break, and ends when the channel closes", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    socket.receive([1, 0, "a", "b"]);
    for await (const message of channel) {
      assert.equal(message, "a");
      break;
    }
    const rest: unknown[] = [];
    const done = (async () => {
      for await (const message of channel) rest.push(message);
    })();
    await world.settle();
    socket.receive([3, 0, "c"]);
    socket.receive({ type: "close", code: 1000, reason: "", by: "app", last: 3, ack: 0 });
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
    socket.receive(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 7]).buffer);
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

  test("the send queue and the inbox are bounded", async () => {
    const world = new World();
    const { channel, events } = world.channel({ queueMessages: 2 });
    void channel.send(1);
    void channel.send(2);
    const third = watch(channel.send(3));
    await world.settle();
    assert.equal(third.outcome, "buffer_full: not_handled");
    const socket = await world.openSocket();
    socket.receive([1, 2, "a", "b", "c", "d", "e"]);
    await world.settle();
    assert.equal(events.length, 3);
    assert.deepEqual(events.at(-1), ["close", 1011, "too many messages", "protocol", false]);
  });
});

describe("listeners", () => {
  test("dropping the connection from a listener loses nothing from the same answer", async () => {
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
      // The retry budget: two attempts per second, for any reason.
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
    (await world.request("poll")).respond(200, [
      [1, 0, "a", "b", "c"],
      [4, 1, "d"],
    ]);
    await world.settle();
    assert.deepEqual([send.outcome, channel.state, events.at(-1)![1]], ["handled", "closed", 1011]);
  });
});

describe("control", () => {
  test("credentials are requested for each attach and renewal (REN-1)", async () => {
    const world = new World();
    let asked = 0;
    const { channel } = world.channel({ credentials: async () => ({ token: ++asked }) });
    let socket = await world.socket();
    socket.open();
    let [open] = socket.take();
    assert.deepEqual((open as { credentials: unknown }).credentials, { token: 1 });
    socket.receive(opened(open));
    await world.settle();
    socket.take();
    socket.receive({ type: "renew", within: 30 });
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
    const { channel } = world.channel({
      transports: ["websocket"],
      credentials: () => Promise.reject(new Error("no network")),
    });
    await world.settle();
    assert.equal(channel.explain()[0]!.reason, "Error: no network");
    assert.equal(channel.state, "connecting");
  });

  test("a transport that is removed is dropped immediately and replaced", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    const socket = await world.openSocket();
    channel.transports = ["longpoll"];
    assert.equal(socket.readyState, 3);
    const poll = await world.request("poll");
    poll.respond(200, [opened(poll.lines[0])]);
    await world.settle();
    assert.deepEqual(events.slice(2), [
      ["recovering", "forbidden"],
      ["transport", "longpoll"],
      ["resumed", 0],
    ]);
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
    socket.receive(opened(socket.take()[0]));
    await world.settle();
    assert.deepEqual(socket.take().slice(1), [{ type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 }]);
    socket.receive({ type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 });
    assert.deepEqual(events.at(-1), ["close", 1000, "", "app", true]);
  });

  test("an invalid argument throws synchronously", async () => {
    const world = new World();
    assert.throws(() => world.channel({ transports: ["carrier-pigeon" as "sse"] }), ChannelError);
    assert.throws(() => world.channel({}, "/relative"), ChannelError);
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
    socket.receive(opened(socket.take()[0]));
    await world.settle();
    assert.equal(late.outcome, "closed: not_handled");
    assert.deepEqual(socket.take().slice(1), [
      [1, 0, "x"],
      { type: "close", code: 3001, reason: "done", by: "app", last: 1, ack: 0 },
    ]);
    assert.equal(closed.outcome, "pending");
    socket.receive([1, 1, "bye"]);
    socket.receive({ type: "close", code: 3001, reason: "done", by: "app", last: 1, ack: 1 });
    await world.settle();
    assert.deepEqual([send.outcome, closed.outcome, channel.state], ["handled", "handled", "closed"]);
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 1 }]);
    assert.equal(socket.readyState, 3);
    assert.deepEqual(events.at(-1), ["close", 3001, "done", "app", true]);
  });

  test("a channel that never connected closes immediately", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    await channel.close();
    await world.pass(10);
    assert.deepEqual([events, world.sockets.length], [[["close", 1000, "", "app", true]], 0]);
  });

  test("a channel with an unreachable server closes, and reports fates", async () => {
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
    assert.deepEqual(
      [sent.outcome, unsent.outcome, closed.outcome],
      ["closed: unknown", "closed: not_handled", "handled"],
    );
    assert.deepEqual(events.at(-1), ["close", 1001, "unreachable", "protocol", false]);
  });

  test("answers from an intermediary do not extend the close timeout", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse", "longpoll"] });
    const stream = await world.request("sse");
    stream.stream();
    stream.event(opened(stream.lines[0]));
    (await world.request("send")).respond(200, [postAnswer()]);
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
    (await world.request("poll")).respond(200, [
      [1, 0, "bye"],
      { type: "close", code: 4000, reason: "r", by: "app", last: 1, ack: 0 },
    ]);
    assert.deepEqual((await world.request("send")).lines.slice(1), [
      { type: "close", code: 4000, reason: "r", by: "app", last: 1, ack: 1 },
    ]);
    assert.equal(send.outcome, "closed: not_handled");
    assert.equal(world.requests.length, 0);
  });

  test("a channel closes if another page takes its session (ATT-5)", async () => {
    const world = new World();
    const { events } = world.channel();
    const socket = await world.openSocket();
    socket.receive({ type: "error", code: "superseded", message: "", attach: 9, client: "another-0123456789" });
    await world.pass(60);
    assert.deepEqual(events.at(-1), ["close", 4409, "superseded: taken by another page", "protocol", false]);
    assert.equal(world.sockets.length, 0);
  });
});
