// What an application listens to and controls; what it sends is in messages.test.ts, how it closes in close.test.ts.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ChannelError } from "../src/errors.ts";
import { listen, unhandledDuring, watch } from "./observe.ts";
import { World, opened } from "./world.ts";

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
    const codes = [1002, 0, 999, 1004, 1007, 1009, 1010, 1015, 10000, 2999, 5000, 3000.5, NaN, "1000", "3000", null, true];
    const wrong = [...codes.map((code) => [code]), [3000, "x".repeat(124)], [3000, "ü".repeat(62)]];
    for (const args of [...wrong, [3000, "\ud800"], [3000, 7], [3000, null]])
      await assert.rejects(close(...args), { name: "ChannelError", code: "invalid_argument" }, String(args));
    assert.equal(channel.state, "connecting");
    const unhandled = await unhandledDuring(async () => void close(1002));
    assert.equal(unhandled.length, 1);
    assert.equal(watch(channel.send("still possible")).outcome, "pending");
  });

  test("close accepts the codes of applications and a reason of 123 bytes", async () => {
    const accepted: [number?, string?][] = [[], [1001], [1014], [3000, "x".repeat(123)], [4999, "ü".repeat(61)]];
    for (const [code, reason] of accepted) {
      const { channel, events } = new World().channel();
      await channel.close(code, reason);
      assert.deepEqual(events, [["close", code ?? 1000, reason ?? "", "app", true]]);
    }
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

  test("a URL with credentials is refused", () => {
    const world = new World();
    assert.throws(
      () => world.channel({}, "http://user:secret@localhost/chat"),
      ({ code, message }: { code: string; message: string }) =>
        code === "invalid_argument" && /option credentials/.test(message) && !/secret/.test(message),
    );
  });
});
