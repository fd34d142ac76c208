// What an application sends and receives, and how much may wait.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ChannelError } from "../src/errors.ts";
import type { ChannelEventMap } from "../src/options.ts";
import { listen, unhandledDuring, watch } from "./observe.ts";
import { LIMITS, World, opened, postAnswer } from "./world.ts";

const FLOODED = "too many messages wait for a listener: see queueMessages, queueBytes";

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
    await world.pass(0.55);
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

  test("messages wait again once the last listener is gone", async () => {
    for (const how of ["once", "signal", "removed", "null"]) {
      const world = new World();
      const { channel } = world.channel();
      const seen: unknown[] = [];
      const end = new AbortController();
      const listener = how === "null" ? null : ({ data }: ChannelEventMap["message"]): void => void seen.push(data);
      channel.addEventListener("message", listener, { once: how === "once", signal: end.signal });
      const socket = await world.openSocket();
      if (listener) socket.receive([1, 0, "a"]);
      if (how === "signal") end.abort();
      if (how === "removed") channel.removeEventListener("message", listener);
      socket.receive(listener ? [2, 0, "b", "c"] : [1, 0, "b", "c"]);
      const iterator = channel[Symbol.asyncIterator]();
      assert.deepEqual([(await iterator.next()).value, (await iterator.next()).value], ["b", "c"], how);
      assert.deepEqual(seen, listener ? ["a"] : []);
    }
  });

  test("an iterator can stop while it waits, and takes no message with it", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    const iterator = channel[Symbol.asyncIterator]();
    const waiting = iterator.next();
    assert.deepEqual(await iterator.return!(), { done: true, value: undefined });
    assert.deepEqual(await waiting, { done: true, value: undefined });
    socket.receive([1, 0, "a"]);
    assert.deepEqual(await channel[Symbol.asyncIterator]().next(), { done: false, value: "a" });
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

  test("a refused send that nobody awaits is reported by the browser", async () => {
    const thrown = new RangeError("from toJSON");
    const unhandled = await unhandledDuring(async () => {
      const world = new World();
      const { channel } = world.channel({ queueMessages: 2 });
      channel.send({ price: NaN });
      channel.send("x".repeat(LIMITS.message));
      channel.send({
        toJSON: () => {
          throw thrown;
        },
      });
      channel.send("x".repeat(100));
      channel.send("y");
      channel.send("one too many");
      // The server's limit is lower than the one that the message was checked against.
      await world.openSocket({ limits: { ...LIMITS, message: 50 } });
    });
    assert.deepEqual(
      unhandled.map((error) => (error instanceof ChannelError ? error.code : error)),
      ["invalid_message", "too_large", thrown, "buffer_full", "too_large"],
    );
  });

  test("a send whose fate an event tells need not be awaited", async () => {
    const unhandled = await unhandledDuring(async () => {
      const world = new World();
      const { channel, events } = world.channel();
      channel.send("x");
      await world.openSocket();
      channel.send("y");
      channel.reconnect();
      await world.openSocket({
        verdict: "reset",
        id: "b8",
        session: "token-new",
        reset: { reason: "expired", lost: null, handled: null, in_hand: null },
      });
      channel.send("z");
      channel.close();
      channel.send("late");
      await world.pass(100);
      assert.deepEqual([events.map(([type]) => type).includes("reset"), channel.state], [true, "closed"]);
    });
    assert.deepEqual(unhandled, []);
  });

  test("messages that wait to be sent are bounded by number", async () => {
    const world = new World();
    const { channel } = world.channel({ queueMessages: 2 });
    const sends = [1, 2, 3].map((message) => watch(channel.send(message)));
    const socket = await world.openSocket();
    assert.deepEqual(
      sends.map(({ outcome }) => outcome),
      ["pending", "pending", "buffer_full: not_handled"],
    );
    socket.receive({ type: "ack", ack: 1 });
    await world.settle();
    const fourth = watch(channel.send(4));
    await world.settle();
    assert.equal(fourth.outcome, "pending");
  });

  test("messages that wait to be sent are bounded in bytes", async () => {
    const world = new World();
    // Those that have a number count too, until they are acknowledged.
    const { channel } = world.channel({ queueBytes: 10 });
    const sends = ["1234", "12", "", new Uint8Array(1)].map((message) => watch(channel.send(message)));
    const socket = await world.openSocket();
    const fates = (): string[] => sends.map(({ outcome }) => outcome);
    assert.deepEqual(fates(), ["pending", "pending", "buffer_full: not_handled", "buffer_full: not_handled"]);
    socket.receive({ type: "ack", ack: 2 });
    await world.settle();
    sends.push(watch(channel.send(new Uint8Array(9))), watch(channel.send("x".repeat(100))), watch(channel.send("y")));
    await world.settle();
    assert.deepEqual(fates().slice(4), ["pending", "pending", "buffer_full: not_handled"]);
  });

  test("a reset empties the queue of what waits to be sent", async () => {
    const world = new World();
    const { channel } = world.channel({ queueBytes: 1 });
    const socket = await world.openSocket();
    channel.send("x");
    socket.receive({ type: "reset", reason: "expired", lost: [], handled: 0, in_hand: 0 });
    await world.settle();
    const send = watch(channel.send("y"));
    await world.settle();
    assert.equal(send.outcome, "pending");
  });

  test("messages that wait for a listener are bounded by number", async () => {
    const world = new World();
    const { events } = world.channel({ queueMessages: 2 });
    const socket = await world.openSocket();
    socket.receive([1, 0, "a", "b"]);
    await world.settle();
    assert.equal(events.length, 2);
    socket.receive([3, 0, "c"]);
    await world.settle();
    assert.deepEqual(events.at(-1), ["close", 1011, FLOODED, "protocol", false]);
  });

  test("messages that wait for a listener are bounded in bytes", async () => {
    const world = new World();
    const { channel, events } = world.channel({ queueBytes: 100 });
    const socket = await world.openSocket();
    // The size of a frame, its number and mark included.
    socket.receive([1, 0, "x".repeat(50)]);
    const { value } = await channel[Symbol.asyncIterator]().next();
    assert.equal(value, "x".repeat(50));
    socket.receive([2, 0, "x".repeat(45), "x".repeat(42)]);
    await world.settle();
    assert.equal(events.length, 2);
    socket.receive([4, 0, "x"]);
    await world.settle();
    assert.deepEqual(events.at(-1), ["close", 1011, FLOODED, "protocol", false]);
  });

  test("messages that the answer to a POST brought are bounded in bytes too (POL-5)", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["longpoll"], queueBytes: 100 });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    await world.request("poll");
    void channel.send("y");
    (await world.request("send")).respond(200, [postAnswer({ ack: 1, received: 1 }), [1, 1, "x".repeat(100)]]);
    await world.settle();
    assert.deepEqual(events.at(-1), ["close", 1011, FLOODED, "protocol", false]);
  });

  test("a send whose toJSON closes the channel is rejected", async () => {
    const world = new World();
    const { channel } = world.channel();
    const sent = watch(channel.send({ toJSON: () => (void channel.close(), 1) }));
    await world.settle();
    assert.deepEqual([channel.state, sent.outcome], ["closed", "closed: not_handled"]);
  });

  test("an error of toJSON is reported, whatever its code", async () => {
    const world = new World();
    const { channel } = world.channel();
    const error = Object.assign(new Error("db"), { code: "closed" });
    const unhandled = await unhandledDuring(async () => {
      void channel.send({
        toJSON() {
          throw error;
        },
      });
      await world.settle();
    });
    assert.deepEqual(unhandled, [error]);
  });
});
