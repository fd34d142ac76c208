// What happens when a page is unloaded, or put into the back/forward cache.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PageWorld, opened } from "./world.ts";
import type { FakeSocket } from "./world.ts";

describe("a page that is unloaded", () => {
  test("posts its last data and ack with keepalive", async () => {
    const world = new PageWorld();
    const { channel } = world.channel();
    channel.addEventListener("message", () => {});
    const socket = await world.openSocket();
    channel.send("said");
    await world.settle();
    socket.receive([1, 0, "heard"]);
    channel.send("unsaid");
    world.fire("window", "pagehide", { persisted: false });
    const post = await world.request("send");
    assert.equal((post.init as { keepalive?: boolean }).keepalive, true);
    const [head, data] = post.lines as [{ type: string; attach: number }, unknown];
    assert.deepEqual([head.type, head.attach], ["send", 1]);
    assert.deepEqual(data, [1, 1, "said", "unsaid"]);
    assert.deepEqual(post.lines.at(-1), { type: "leave" });
    assert.deepEqual(socket.take().at(-1), { type: "leave" });
    assert.deepEqual([channel.state, socket.readyState], ["open", 1]);
  });

  test("drops its connection when cached, and resumes when shown", async () => {
    const world = new PageWorld();
    const { channel, events } = world.channel();
    let socket: FakeSocket = await world.openSocket();
    world.fire("window", "pageshow", { persisted: false });
    world.fire("window", "pagehide", { persisted: true });
    assert.deepEqual([socket.readyState, channel.state], [3, "recovering"]);
    const post = await world.request("send");
    // It may return (LIV-6).
    assert.ok(![...socket.take(), ...post.lines].some((frame) => (frame as { type?: string }).type === "leave"));
    await world.pass(60);
    world.fire("document", "resume");
    await world.pass(1);
    assert.equal(world.sockets.length, 0);
    world.fire("window", "pageshow", { persisted: true });
    socket = await world.openSocket();
    assert.deepEqual(events.slice(2), [
      ["recovering", "pagehide"],
      ["resumed", 0],
    ]);
  });

  test("says over a stream in its final POST that it leaves", async () => {
    const world = new PageWorld();
    world.channel({ transports: ["sse"] });
    await world.openStream();
    world.fire("window", "pagehide", { persisted: false });
    const post = await world.request("send");
    assert.deepEqual(post.lines.slice(1), [{ type: "ack", ack: 0 }, { type: "leave" }]);
    await world.settle();
    assert.equal(world.requests.length, 0);
  });

  test("names no mark in its final POST over long poll, as nobody reads the answer (POL-5)", async () => {
    const world = new PageWorld();
    world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    await world.request("poll");
    world.fire("window", "pagehide", { persisted: false });
    const [head, ...frames] = (await world.request("send")).lines as [object, ...unknown[]];
    assert.ok(!("ack" in head));
    assert.deepEqual(frames, [{ type: "ack", ack: 0 }, { type: "leave" }]);
  });

  test("says that it leaves in its last POST, whatever that has room for (LIV-6)", async () => {
    const world = new PageWorld();
    const { channel } = world.channel({ transports: ["sse"] });
    world.window.addEventListener("pagehide", () => {
      for (let index = 0; index < 100; index++) channel.send("y".repeat(1000));
    });
    await world.openStream();
    world.fire("window", "pagehide", { persisted: false });
    await world.settle();
    const posts = world.requests.filter(({ url }) => url.endsWith("/send"));
    assert.ok(posts.length > 1);
    for (const { lines } of posts) assert.deepEqual(lines.at(-1), { type: "leave" });
  });

  test("takes back that it leaves if it is shown again", async () => {
    const world = new PageWorld();
    const { channel } = world.channel({ transports: ["websocket"] });
    const socket = await world.openSocket();
    world.fire("window", "pagehide", { persisted: false });
    socket.take();
    world.fire("window", "pageshow", { persisted: false });
    channel.send("here");
    await world.settle();
    assert.deepEqual(socket.take(), [[1, 0, "here"]]);
  });

  /** Returns the final POST, with how many bytes it has and the messages in it. */
  async function finalPost(world: PageWorld): Promise<{ bytes: number; messages: unknown[]; keepalive: boolean }> {
    world.fire("window", "pagehide", { persisted: false });
    await world.settle();
    const { init, lines } = world.requests.filter(({ url }) => url.endsWith("/send")).at(-1)!;
    const messages = lines.flatMap((line) => (Array.isArray(line) ? (line as unknown[]).slice(2) : []));
    return { bytes: Buffer.byteLength(String(init.body)), messages, keepalive: init.keepalive! };
  }

  for (const order of ["before", "after"])
    for (const transport of ["websocket", "sse"] as const)
      test(`${transport}: posts what its own listener sends, added ${order} ours`, async () => {
        const world = new PageWorld();
        const texts = Array.from({ length: 63 }, (_, index) => `${index} `.padEnd(1000, "x"));
        const sendAll = (): void => texts.forEach((text) => void channel.send(text));
        if (order === "before") world.window.addEventListener("pagehide", () => sendAll());
        const { channel } = world.channel({ transports: [transport] });
        if (transport === "sse") await world.openStream();
        else await world.openSocket();
        if (order === "after") world.window.addEventListener("pagehide", () => sendAll());
        const { bytes, messages, keepalive } = await finalPost(world);
        assert.deepEqual([messages, keepalive], [texts, true]);
        assert.ok(bytes <= 65536, `${bytes}`);
      });

  test("posts as much as a browser lets outlive the page, counted in bytes", async () => {
    for (const [letter, count] of [
      ["e", 64],
      ["é", 32],
      ["\u20ac", 21],
    ] as const) {
      const world = new PageWorld();
      const { channel } = world.channel({ transports: ["websocket"] });
      await world.openSocket();
      for (let index = 0; index < 100; index++) channel.send(letter.repeat(1000));
      const { bytes, messages, keepalive } = await finalPost(world);
      assert.ok(bytes <= 65536, `${bytes}`);
      assert.deepEqual([messages.length, keepalive], [count, true]);
    }
  });

  test("posts no message that is too large, but its ack", async () => {
    const world = new PageWorld();
    const { channel } = world.channel({ transports: ["websocket"] });
    await world.openSocket();
    channel.send("x".repeat(1e5));
    const { messages, keepalive } = await finalPost(world);
    assert.deepEqual([messages, keepalive], [[], true]);
  });

  test("leaves room for the POSTs that are in flight", async () => {
    const world = new PageWorld();
    const { channel } = world.channel({ transports: ["sse"] });
    await world.openStream();
    channel.send("x".repeat(9000));
    const post = await world.request("send");
    assert.equal(post.init.keepalive, true);
    for (let index = 0; index < 80; index++) channel.send("y".repeat(1000));
    const { bytes, messages, keepalive } = await finalPost(world);
    assert.ok(bytes <= 65536 - 9000 && messages.length > 40, `${bytes}`);
    assert.equal(keepalive, true);
  });

  test("POSTs of all its channels together stay within what a browser takes", async () => {
    const world = new PageWorld();
    let bytes = 0;
    for (let index = 0; index < 9; index++) {
      const { channel } = world.channel({ transports: ["sse"] });
      await world.openStream();
      channel.send("x".repeat(9000));
      const { init } = await world.request("send");
      if (init.keepalive) bytes += Buffer.byteLength(String(init.body));
    }
    assert.ok(bytes > 30000 && bytes <= 65536, `${bytes}`);
  });

  test("posts nothing between a reset and the next session", async () => {
    const world = new PageWorld();
    const { channel } = world.channel({ transports: ["websocket"] });
    const socket = await world.openSocket();
    socket.receive({ type: "reset", reason: "overflow", lost: [], handled: 0, in_hand: 0 });
    channel.send("y");
    world.fire("window", "pagehide", { persisted: false });
    await world.settle();
    assert.equal(world.requests.length, 0);
  });

  test("stays suspended if a listener of the page suspends it", async () => {
    for (const type of ["pagehide", "freeze"] as const) {
      const world = new PageWorld();
      const { channel } = world.channel({ transports: ["websocket"] });
      const target = type === "freeze" ? world.page : world.window;
      target.addEventListener(type, () => channel.suspend());
      await world.openSocket();
      world.fire("window", "pagehide", { persisted: true });
      world.fire("document", "freeze");
      world.fire("window", "pageshow", { persisted: true });
      await world.pass(10);
      assert.deepEqual([channel.state, world.sockets.length], ["suspended", 0], type);
      channel.resume();
      await world.openSocket();
    }
  });

  test("stays suspended if the application asked for it", async () => {
    const world = new PageWorld();
    const { channel } = world.channel();
    await world.openSocket();
    channel.suspend();
    world.fire("window", "pagehide", { persisted: true });
    world.fire("window", "pageshow", { persisted: true });
    world.fire("window", "online");
    await world.pass(10);
    assert.deepEqual([channel.state, world.sockets.length], ["suspended", 0]);
  });

  test("is ignored by a closed channel", async () => {
    const world = new PageWorld();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    socket.receive({ type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 });
    await world.settle();
    socket.take();
    for (const type of ["online", "offline", "pagehide", "pageshow"]) world.fire("window", type, { persisted: true });
    await world.pass(60);
    assert.deepEqual([channel.state, world.sockets.length, world.requests.length, socket.take()], ["closed", 0, 0, []]);
  });

  test("posts its last sends after the connection has ended", async () => {
    const world = new PageWorld();
    const { channel } = world.channel({ transports: ["websocket"] });
    const socket = await world.openSocket();
    socket.receive([1, 0, "a"]);
    await world.settle();
    socket.end(1001);
    channel.send("last");
    await world.settle();
    world.fire("window", "pagehide", { persisted: false });
    const finalPost = await world.request("send");
    assert.deepEqual(finalPost.lines, [
      { type: "send", session: "token-1", client: channel._driver.session.client, attach: 1, epoch: "e1" },
      [1, 1, "last"],
      { type: "leave" },
    ]);
    assert.equal(finalPost.init.keepalive, true);
  });

  test("posts what is sent after pagehide, with what it posted before", async () => {
    for (const persisted of [false, true]) {
      const world = new PageWorld();
      const { channel } = world.channel({ transports: ["websocket"] });
      await world.openSocket();
      channel.send("first");
      world.fire("window", "pagehide", { persisted });
      await world.request("send");
      channel.send("second");
      channel.send("third");
      await world.settle();
      const post = await world.request("send");
      assert.deepEqual([post.lines[1], post.init.keepalive], [[1, 0, "first", "second", "third"], true]);
      await world.pass(1);
      assert.equal(world.requests.length, 0);
    }
  });

  test("posts only what is new after pagehide if there is no room for the rest", async () => {
    const world = new PageWorld();
    const { channel } = world.channel({ transports: ["websocket"] });
    await world.openSocket();
    channel.send("x".repeat(40000));
    world.fire("window", "pagehide", { persisted: false });
    await world.request("send");
    channel.send("y".repeat(20000));
    const { lines } = await world.request("send");
    assert.deepEqual(lines[1], [2, 0, "y".repeat(20000)]);
  });

  test("posts what waits and leaves, even if it was suspended", async () => {
    const world = new PageWorld();
    const { channel } = world.channel({ transports: ["websocket"] });
    await world.openSocket();
    channel.suspend();
    channel.send("important").catch(() => {});
    await world.settle();
    world.fire("window", "pagehide", { persisted: true });
    await world.settle();
    assert.equal(world.requests.length, 0);
    world.fire("window", "pagehide", { persisted: false });
    const { lines } = await world.request("send");
    assert.deepEqual(lines.slice(1), [[1, 0, "important"], { type: "leave" }]);
  });
});
