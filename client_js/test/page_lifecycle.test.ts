// What happens when a page sleeps or changes its network, and when credentials expire.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PageWorld, World, opened, postAnswer } from "./world.ts";

describe("a page that may have slept", () => {
  for (const [on, type] of [
    ["document", "visibilitychange"],
    ["document", "resume"],
    ["window", "offline"],
    ["window", "online"],
    ["network", "change"],
  ] as const) {
    // Each `change` leads to another kind of network.
    const fire = (world: PageWorld): void => {
      world.network.type += "x";
      world.fire(on, type);
    };

    test(`${type}: the connection has 2 s for a sign of life`, async () => {
      const world = new PageWorld();
      const { channel } = world.channel({ transports: ["websocket"] });
      const socket = await world.openSocket();
      fire(world);
      await world.pass(0.1);
      assert.deepEqual(socket.take(), [{ type: "ping" }]);
      socket.receive({ type: "pong" });
      await world.pass(10);
      assert.equal(channel.state, "open");
      fire(world);
      await world.pass(1.9);
      assert.equal(channel.state, "open");
      await world.pass(0.2);
      assert.deepEqual([channel.state, socket.readyState], ["recovering", 3]);
      await world.pass(0.5);
      await world.openSocket();
    });
  }

  test("ignores new estimates of the speed of its network", async () => {
    for (const kind of [undefined, "wifi"]) {
      const world = new PageWorld();
      if (kind) world.network.type = kind;
      const { channel } = world.channel({ transports: ["websocket", "sse"] });
      (await world.socket()).end(1006);
      await world.openStream();
      await world.pass(1.3);
      world.gets.shift()!.fail();
      for (let change = 0; change < 20; change++) {
        world.fire("network", "change");
        await world.pass(0.1);
      }
      assert.deepEqual(channel.statistics().attempts, { websocket: 1, sse: 1, longpoll: 0 });
    }
  });

  test("is not probed when it is hidden", async () => {
    const world = new PageWorld();
    world.channel();
    const socket = await world.openSocket();
    world.page.visibilityState = "hidden";
    world.fire("document", "visibilitychange");
    await world.pass(5);
    assert.deepEqual(socket.take(), []);
  });

  test("handles input before the probe after a jump in time", async () => {
    const world = new PageWorld();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    world.now += 60;
    await world.pass(0.1);
    assert.deepEqual([channel.state, socket.take()], ["open", [{ type: "ping" }]]);
    await world.pass(2.1);
    assert.equal(channel.state, "recovering");
  });

  test("keeps its session when its timers are late", async () => {
    const world = new PageWorld();
    const { channel, events } = world.channel();
    const socket = await world.openSocket();
    for (let minute = 0; minute < 30; minute++) {
      for (let beat = 0; beat < 3; beat++) {
        world.now += 20;
        socket.receive({ type: "ping" });
        await world.settle();
      }
      await world.pass(0.01);
      if (socket.take().some((frame) => (frame as { type: string }).type === "ping")) socket.receive({ type: "pong" });
    }
    assert.equal(channel.state, "open");
    assert.deepEqual(events, [["transport", "websocket"], ["open"]]);
  });

  test("replaces a stream by a new one in parallel", async () => {
    const world = new PageWorld();
    const { channel, events } = world.channel({ transports: ["sse"] });
    const stream = await world.openStream();
    await world.pass(10);
    world.fire("document", "visibilitychange");
    await world.pass(0.1);
    assert.equal(stream.aborted, false);
    const next = await world.openStream();
    assert.deepEqual([stream.aborted, next.aborted, channel.state], [true, false, "open"]);
    await world.pass(3);
    assert.deepEqual(events, [["transport", "sse"], ["open"]]);
  });

  for (const transport of ["sse", "longpoll"] as const)
    test(`${transport}: keeps its connection while the new one opens slowly`, async () => {
      for (const opens of [true, false]) {
        const world = new PageWorld();
        const { channel, events } = world.channel({ transports: [transport] });
        const open = async (): Promise<void> => {
          if (transport === "sse") return void (await world.openStream());
          const poll = await world.request("poll");
          poll.respond(200, [opened(poll.lines[0])]);
          await world.request("poll");
        };
        await open();
        await world.pass(10);
        world.show();
        await world.pass(7);
        assert.deepEqual([channel.state, events.length], ["open", 2]);
        if (opens) await open();
        await world.pass(2);
        assert.deepEqual([channel.state, events.length], opens ? ["open", 2] : ["recovering", 3]);
      }
    });

  for (const answer of ["<html>", '{"type":"error","code":"too_many","message":"","retry_in":20}'])
    test(`keeps a stream whose replacement is answered by ${answer}`, async () => {
      const world = new PageWorld();
      world.random = 1;
      const { channel, events } = world.channel({ transports: ["sse"] });
      const stream = await world.openStream();
      await world.pass(10);
      world.show();
      await world.pass(0.1);
      (await world.request("sse")).respond(503, answer, "text/plain");
      await world.pass(20);
      stream.event({ type: "ping", id: 1 });
      (await world.request("send")).respond(200, [postAnswer()]);
      await world.pass(11);
      await world.openStream();
      assert.deepEqual([channel.state, events.length, stream.aborted], ["open", 2, true]);
    });

  test("retries immediately instead of waiting", async () => {
    const world = new PageWorld();
    world.random = 1;
    world.channel({ transports: ["websocket"] });
    for (let round = 0; round < 6; round++) {
      (await world.socket()).end(1006);
      await world.settle();
      world.fire("window", "online");
      // The retry budget allows two in a second, of which one asks why the first failed.
      await world.pass(1.3);
    }
    await world.socket();
  });

  test("does not retry before the server allows it", async () => {
    const world = new PageWorld();
    world.channel({ transports: ["longpoll"] });
    (await world.request("poll")).respond(429, [{ type: "error", code: "too_many", message: "", retry_in: 20 }]);
    await world.settle();
    world.fire("window", "online");
    await world.pass(19);
    assert.equal(world.requests.length, 0);
    await world.pass(2);
    await world.request("poll");
  });

  test("forgets the penalties when the network changes", async () => {
    const world = new PageWorld();
    const { channel } = world.channel({ transports: ["websocket", "longpoll"] });
    (await world.socket()).end(1006);
    const poll = await world.request("poll");
    poll.respond(200, [opened(poll.lines[0])]);
    await world.pass(1.3);
    assert.equal(world.sockets.length, 0);
    world.network.type = "cellular";
    world.fire("network", "change");
    await world.pass(0.1);
    await world.openSocket();
    assert.equal(channel.transport, "websocket");
  });
});

describe("a connection that is always cut at the same age", () => {
  test("is replaced before that, without a penalty", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["websocket", "longpoll"] });
    for (let cut = 0; cut < 2; cut++) {
      const socket = await world.openSocket();
      await world.pass(10);
      socket.end(1006);
      await world.pass(0.5);
    }
    for (let turn = 0; turn < 3; turn++) {
      const socket = await world.openSocket();
      await world.pass(7.9);
      assert.equal(world.sockets.length, 0);
      await world.pass(0.2);
      assert.equal(socket.readyState, 1);
    }
    await world.openSocket();
    assert.equal(channel.state, "open");
    assert.equal(events.filter(([type]) => type === "recovering").length, 2);
    assert.equal(channel.statistics().attempts.longpoll, 0);
  });

  test("asks for a shorter hold if it is a poll, then for slowly growing ones", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    const holds: (number | undefined)[] = [];
    for (let poll = 0; poll < 60; poll++) {
      const request = await world.request("poll");
      const { hold = 20 } = request.lines[0] as { hold?: number };
      holds.push(hold);
      // An intermediary cuts polls after 6 s.
      await world.pass(Math.min(hold, 6));
      if (hold < 6) request.respond(200, [{ type: "ack", ack: 0 }]);
      else request.respond(504, "<html>");
    }
    assert.deepEqual(
      holds.slice(0, 3).map((hold) => Math.round(hold! * 100) / 100),
      [20, 3, 3.15],
    );
    assert.ok(holds.filter((hold) => hold! >= 6).length <= 5, `${holds}`);
    assert.deepEqual([channel.state, channel.statistics().attaches], ["open", 1]);
  });

  test("sets no timers in a loop while a poll with a shortened hold opens", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    const poll = await world.request("poll");
    await world.pass(1.2);
    poll.respond(504, "<html>");
    assert.equal(((await world.request("poll")).lines[0] as { hold: number }).hold, 1);
    for (const begin of [() => channel.reconnect(), () => (channel._driver.connector.active!.rotateAt = world.now)]) {
      begin();
      channel._driver.schedule();
      await world.pass(1.3);
      const reopen = await world.request("poll");
      assert.equal((reopen.lines[0] as { type: string }).type, "open");
      const before = world.timersSet;
      await world.pass(5);
      assert.ok(world.timersSet - before < 10, `${world.timersSet - before}`);
      reopen.respond(200, [opened(reopen.lines[0])]);
      await world.settle();
      await world.request("poll");
    }
  });

  test("polls at once after a poll that was cut young and answered early", async () => {
    const world = new World();
    world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    const first = await world.request("poll");
    await world.pass(1.2);
    first.respond(504, "<html>");
    for (let turn = 0; turn < 10; turn++) {
      const poll = await world.request("poll");
      assert.equal((poll.lines[0] as { hold: number }).hold, 1);
      poll.respond(200, [{ type: "ack", ack: 0 }]);
      await world.settle();
      assert.equal(world.requests.length, 1);
    }
  });
});

describe("credentials", () => {
  const unauthorized = { type: "error", code: "unauthorized", message: "expired" };

  test("that have expired are requested again, and the session continues", async () => {
    const world = new World();
    let asked = 0;
    const { events } = world.channel({ credentials: async () => `token ${++asked}`, transports: ["websocket"] });
    let socket = await world.openSocket();
    await world.pass(6);
    socket.receive(unauthorized);
    await world.pass(1);
    socket = await world.socket();
    socket.open();
    const [open] = socket.take() as { credentials: string; session: string }[];
    assert.deepEqual([open!.credentials, open!.session], ["token 2", "token-1"]);
    socket.receive(opened(open));
    await world.settle();
    assert.deepEqual(events.slice(2), [
      ["recovering", "unauthorized"],
      ["resumed", 0],
    ]);
  });

  test("that are refused at first are requested once more", async () => {
    const world = new World();
    let asked = 0;
    const { channel, events } = world.channel({
      credentials: async () => `token ${++asked}`,
      transports: ["longpoll"],
    });
    for (let attempt = 1; attempt <= 2; attempt++) {
      const poll = await world.request("poll");
      assert.equal((poll.lines[0] as { credentials: string }).credentials, `token ${attempt}`);
      assert.equal(channel.state, "connecting");
      poll.respond(401, [unauthorized]);
      await world.settle();
    }
    assert.deepEqual(events, [["close", 4401, "unauthorized: expired", "protocol", false]]);
  });

  test("that fail to load are requested again", async () => {
    const world = new World();
    let asked = 0;
    const { channel } = world.channel({
      credentials: async () => {
        if (++asked < 4) throw new TypeError("failed to fetch");
        return "token";
      },
      transports: ["websocket"],
    });
    await world.pass(5);
    await world.openSocket();
    assert.equal(channel.state, "open");
    assert.equal(channel.explain()[0]!.reason, "credentials: TypeError: failed to fetch");
  });
});

describe("waiting", () => {
  test("honors a proxy's Retry-After", async () => {
    const world = new World();
    world.channel({ transports: ["longpoll"] });
    (await world.request("poll")).respond(503, "<html>", "text/html", { "Retry-After": "12" });
    await world.pass(11.9);
    assert.equal(world.requests.length, 0);
    await world.pass(1);
    await world.request("poll");
  });

  test("fires suspended after two minutes without the server", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket"] });
    let suspended = 0;
    channel.addEventListener("suspended", () => suspended++);
    (await world.openSocket()).end();
    for (let second = 0; second < 150; second++) {
      await world.pass(1);
      for (const socket of world.sockets.splice(0)) socket.end();
    }
    assert.deepEqual([suspended, channel.state], [1, "suspended"]);
  });
});
