// The public interface: what an application calls and listens to.
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
    assert.equal(channel.explain()[0]!.reason, "credentials: Error: no network");
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

  test("suspend is told by one event, and resume has its own patience", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket"] });
    const states: string[] = [];
    for (const type of ["recovering", "suspended", "resumed"] as const)
      channel.addEventListener(type, () => states.push(`${type} ${channel.state}`));
    await world.openSocket();
    channel.suspend();
    channel.suspend();
    assert.deepEqual(states, ["suspended suspended"]);
    // Longer than the session lives.
    await world.pass(300);
    channel.resume();
    await world.pass(60);
    for (const socket of world.sockets.splice(0)) socket.end();
    assert.equal(channel.state, "recovering");
    while (!world.sockets.length) await world.pass(1);
    await world.openSocket();
    assert.deepEqual(states, ["suspended suspended", "resumed open"]);
  });

  test("a channel may be closed by a listener while it is suspended", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    await world.openSocket();
    channel.addEventListener("suspended", () => void channel.close());
    channel.suspend();
    const socket = await world.openSocket();
    await world.settle();
    socket.receive({ type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 });
    assert.deepEqual(events.at(-1), ["close", 1000, "", "app", true]);
  });

  test("credentials that JSON cannot carry fail the attempt and say why", async () => {
    const wrong = { token: new Map() };
    for (const credentials of [wrong, () => wrong, async () => wrong]) {
      const world = new World();
      const { channel } = world.channel({ transports: ["websocket"], credentials });
      await world.settle();
      assert.match(channel.explain()[0]!.reason, /^credentials: ChannelError: cannot send: credentials\.token is of type Map\./);
      assert.equal(world.sockets.length, 0);
    }
  });

  test("credentials are sent as JSON.stringify writes them", async () => {
    const world = new World();
    world.channel({ credentials: { at: new Date(0), missing: undefined } });
    const socket = await world.socket();
    socket.open();
    const [{ credentials }] = socket.take() as [{ credentials: unknown }];
    assert.deepEqual(credentials, { at: "1970-01-01T00:00:00.000Z" });
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

  test("suspend tells so, and resume does not expire what was suspended for long", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["websocket"] });
    channel.addEventListener("suspended", () => events.push(["suspended", channel.state]));
    await world.openSocket();
    events.length = 0;
    channel.suspend();
    channel.suspend();
    assert.deepEqual(events, [["suspended", "suspended"]]);
    await world.pass(300);
    channel.resume();
    await world.pass(1);
    assert.deepEqual([events.length, channel.state], [1, "recovering"]);
    await world.openSocket();
    assert.deepEqual(events.slice(1), [["resumed", 0]]);
  });

  test("a listener of suspended may close the channel", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["websocket"] });
    await world.openSocket();
    channel.addEventListener("suspended", () => void channel.close());
    channel.suspend();
    await world.pass(1);
    const socket = await world.openSocket();
    socket.receive({ type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 });
    await world.settle();
    assert.deepEqual(events.at(-1), ["close", 1000, "", "app", true]);
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
    assert.throws(() => (channel.transports = []), ChannelError);
  });

  test("close rejects for a wrong argument, as send does, and does nothing", async () => {
    const world = new World();
    const { channel } = world.channel();
    const close = channel.close.bind(channel) as (...args: unknown[]) => Promise<void>;
    const codes = [1001, 0, 999, 1004, 2999, 5000, 3000.5, NaN, "1000", "3000", null, true];
    const wrong = [...codes.map((code) => [code]), [3000, "x".repeat(124)], [3000, "ü".repeat(62)]];
    for (const args of [...wrong, [3000, "\ud800"], [3000, 7], [3000, null]])
      await assert.rejects(close(...args), { name: "ChannelError", code: "invalid_argument" }, String(args));
    assert.equal(channel.state, "connecting");
    const unhandled = await unhandledDuring(async () => void close(1001));
    assert.equal(unhandled.length, 1);
    assert.equal(watch(channel.send("still possible")).outcome, "pending");
  });

  test("close accepts the codes of applications and a reason of 123 bytes", async () => {
    const accepted: [number?, string?][] = [[], [1000], [3000, "x".repeat(123)], [4999, "ü".repeat(61)]];
    for (const [code, reason] of accepted) {
      const { channel, events } = new World().channel();
      await channel.close(code, reason);
      assert.deepEqual(events, [["close", code ?? 1000, reason ?? "", "app", true]]);
    }
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

test("transports with a hole are refused, and the list is the application's", async () => {
  const world = new World();
  const holes = [, "sse"] as unknown as readonly "sse"[];
  assert.throws(() => world.channel({ transports: holes }), { code: "invalid_argument" });
  const { channel } = world.channel();
  assert.throws(() => (channel.transports = holes), { code: "invalid_argument" });
  (channel.transports as string[]).push("bogus");
  assert.deepEqual(channel.transports, ["websocket", "sse", "longpoll"]);
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

test("a message event of the application takes listeners that listen once", async () => {
  const world = new World();
  const { channel } = world.channel({ transports: ["websocket"] });
  const socket = await world.openSocket();
  channel.addEventListener("message", () => {}, { once: true });
  channel.dispatchEvent(new Event("message"));
  socket.receive([1, 0, "kept"]);
  await world.settle();
  assert.deepEqual(await channel[Symbol.asyncIterator]().next(), { done: false, value: "kept" });
});

test("a URL with credentials is refused", () => {
  const world = new World();
  assert.throws(
    () => world.channel({}, "http://user:secret@localhost/chat"),
    ({ code, message }: { code: string; message: string }) =>
      code === "invalid_argument" && /option credentials/.test(message) && !/secret/.test(message),
  );
});
