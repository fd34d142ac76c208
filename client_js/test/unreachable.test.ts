// What a page is told if nothing connects: the `unreachable` event, and `explain()`.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { outcomes } from "./observe.ts";
import { PageWorld, World, failAll, postAnswer } from "./world.ts";
import type { Channel } from "../src/channel.ts";
import type { ChannelOptions } from "../src/options.ts";

/** Returns a channel in this world, and the causes and reasons that it reports. */
function watched(world: World, options: ChannelOptions): { channel: Channel; reports: string[] } {
  const { channel } = world.channel(options);
  const reports: string[] = [];
  channel.addEventListener("unreachable", ({ cause, reason }) => reports.push(`${cause}: ${reason}`));
  return { channel, reports };
}

describe("unreachable", () => {
  for (const [status, expected] of [
    [404, "wrong_url: HTTP 404: there is no hub at this URL. Check its path"],
    [405, "wrong_url: HTTP 405: there is no hub at this URL. Check its path"],
    [200, "wrong_url: HTTP 200: there is no hub at this URL. Check its path"],
    [403, "refused: HTTP 403: something in front of the server refuses"],
    [502, "refused: HTTP 502: the server fails, or a proxy cannot reach it"],
  ] as const)
    test(`requests that are answered by ${status} tell the cause, once`, async () => {
      const world = new World();
      const { channel, reports } = watched(world, {});
      await failAll(world, 20, status);
      assert.deepEqual(reports, [expected]);
      const reason = expected.split(": ").slice(1).join(": ");
      assert.deepEqual(outcomes(channel).slice(0, 3), [
        "websocket failed refused",
        `sse failed ${reason}`,
        `longpoll failed ${reason}`,
      ]);
      assert.equal(channel.state, "connecting");
    });

  for (const [status, body, expected] of [
    [
      404,
      '{"type":"error","code":"not_found","message":""}',
      "wrong_url: HTTP 404: there is no hub at this URL. Check its path",
    ],
    [200, "<!doctype html>", "wrong_url: HTTP 200: there is no hub at this URL. Check its path"],
    [
      403,
      '{"type":"error","code":"forbidden_origin","message":"list the origin"}',
      "forbidden_origin: the server answers 403: list the origin",
    ],
    [
      426,
      '{"type":"error","code":"upgrade_required","message":"a proxy strips it"}',
      "refused: the server answers 426: a proxy strips it",
    ],
    [0, "", "no_answer: no answer: the server is down, the host or port is wrong, or something blocks the way"],
  ] as const)
    test(`WebSocket alone is explained by a plain GET: ${status} ${body}`, async () => {
      const world = new World();
      const { channel, reports } = watched(world, { transports: ["websocket"] });
      await failAll(world, 20, status, body);
      assert.deepEqual(reports, [expected]);
      assert.equal(outcomes(channel)[0], "websocket failed refused; " + expected.replace(/^\w+: /, ""));
    });

  test("a GET that hangs is given up", async () => {
    const world = new World();
    const { reports } = watched(world, { transports: ["websocket"] });
    (await world.socket()).end(1006);
    await world.pass(7.9);
    assert.deepEqual([reports, world.gets.length], [[], 1]);
    await world.pass(0.2);
    assert.match(reports[0]!, /^no_answer/);
  });

  for (const [answers, cause] of [
    [true, "forbidden_origin"],
    [false, "no_answer"],
  ] as const)
    test(`an answer that another origin may not read: ${cause}`, async () => {
      const world = new PageWorld();
      Object.assign(world.environment, { location: { href: "http://localhost:5173/app" } });
      const { reports } = watched(world, { transports: ["websocket"] });
      (await world.socket()).end(1006);
      await world.settle();
      world.gets.shift()!.fail();
      await world.pass(1.3);
      const [get] = world.gets;
      assert.deepEqual([get!.init.mode, get!.url], ["no-cors", "http://localhost/chat/websocket"]);
      if (answers) get!.respond(200);
      else get!.fail();
      await world.settle();
      assert.deepEqual(
        reports.map((report) => report.split(":")[0]),
        [cause],
      );
    });

  test("a page that is offline asks nothing", async () => {
    const world = new PageWorld();
    Object.assign(world.environment.navigator!, { onLine: false });
    const { reports } = watched(world, {});
    await failAll(world, 5);
    assert.deepEqual(reports, ["offline: offline: the browser has no network"]);
  });

  test("credentials that fail are the cause", async () => {
    const world = new World();
    const { reports } = watched(world, { credentials: () => Promise.reject(new Error("no login")) });
    await world.pass(5);
    assert.deepEqual(reports, ["credentials: credentials: Error: no login"]);
  });

  test("fires once in each outage, and asks nothing of a server that has worked", async () => {
    const world = new World();
    const { channel, reports } = watched(world, { transports: ["websocket"] });
    await failAll(world, 20);
    assert.equal(reports.length, 1);
    while (!world.sockets.length) await world.pass(0.1);
    const socket = await world.openSocket();
    await world.pass(6);
    socket.end(1006);
    await failAll(world, 20);
    assert.deepEqual([reports.length, channel.state], [2, "recovering"]);
    assert.match(reports[1]!, /^no_answer/);
    assert.equal(world.gets.length, 0);
  });

  test("fires again after the application has tried again", async () => {
    const world = new World();
    const { channel, reports } = watched(world, { transports: ["websocket"] });
    await failAll(world, 10);
    channel.reconnect();
    await failAll(world, 10);
    assert.equal(reports.length, 2);
  });

  test("does not fire if the session has only moved to another process", async () => {
    const world = new World();
    const { channel, reports } = watched(world, { transports: ["sse"] });
    await world.openStream();
    void channel.send(1).catch(() => {});
    await world.settle();
    const error = { type: "error", code: "not_attached", message: "" };
    (await world.request("send")).respond(409, [error], "application/json");
    await world.pass(2);
    assert.deepEqual([reports, channel.state], [[], "recovering"]);
    await world.openStream();
    assert.equal(channel.state, "open");
  });

  test("does not fire once the channel is suspended, closed or open", async () => {
    for (const end of ["suspend", "closed", "open"] as const) {
      const world = new World();
      const { channel, reports } = watched(world, { transports: ["websocket"] });
      (await world.socket()).end(1006);
      await world.settle();
      const get = world.gets.shift()!;
      if (end === "suspend") channel.suspend();
      else await world.pass(2);
      if (end === "open") await world.openSocket();
      if (end === "closed") {
        const socket = await world.socket();
        socket.open();
        socket.receive({ type: "error", code: "unauthorized", message: "" });
        await world.settle();
        assert.equal(channel.state, "closed");
      }
      get.respond(404);
      await world.settle();
      assert.deepEqual(reports, [], end);
    }
  });
});

/** Answers every request of these seconds by an error frame of the hub, and refuses every WebSocket. */
async function refuseAll(world: World, seconds: number, status: number, error: object): Promise<string[]> {
  const attempts: string[] = [];
  for (let second = 0; second < seconds; second += 0.1) {
    for (const socket of world.sockets.splice(0)) {
      attempts.push("websocket");
      socket.end(1006);
    }
    for (const request of world.requests.splice(0)) {
      attempts.push(request.url.replace(/.*\//, ""));
      request.respond(status, [{ type: "error", ...error }], "application/json");
    }
    await world.pass(0.1);
  }
  return attempts;
}

describe("a channel that is asked to wait", () => {
  test("tries every transport again, WebSocket too, and blames none", async () => {
    const world = new World();
    const { channel } = watched(world, {});
    const attempts = await refuseAll(world, 60, 503, { code: "unavailable", message: "full", retry_in: 5 });
    assert.ok(attempts.filter((name) => name === "websocket").length > 3, attempts.join());
    while (!world.sockets.length) await world.pass(0.1);
    world.sockets.shift()!.end();
    await world.openStream();
    assert.equal(channel.transport, "sse");
    const later = new World();
    watched(later, {});
    await refuseAll(later, 7, 503, { code: "unavailable", message: "full", retry_in: 5 });
    assert.equal(later.environment.localStorage!.getItem("onechannel http://localhost"), null);
  });

  test("reports that once, with what the server says", async () => {
    const world = new World();
    const { reports } = watched(world, { transports: ["sse"] });
    await refuseAll(world, 60, 503, { code: "unavailable", message: "the memory is full", retry_in: 5 });
    assert.deepEqual(reports, ["refused: the server answers unavailable: the memory is full"]);
  });

  test("by a restart, while a probe fails, reports nothing", async () => {
    const world = new World();
    const { channel, reports } = watched(world, { transports: ["websocket", "sse"] });
    (await world.socket()).end();
    const stream = await world.openStream();
    for (let second = 0; second < 30 && !world.sockets.length; second++) {
      stream.event({ type: "ping" });
      await world.pass(1);
      for (const request of world.requests.splice(0)) request.respond(200, [postAnswer()]);
    }
    const probe = await world.socket();
    stream.event({ type: "drain", retry_in: 2 });
    await world.settle();
    probe.end();
    await world.settle();
    assert.deepEqual([channel.state, reports], ["recovering", []]);
  });

  test("by a proxy reports its status", async () => {
    const world = new World();
    const { reports } = watched(world, { transports: ["sse"] });
    (await world.request("sse")).respond(503, "<html>", "text/html", { "Retry-After": "10" });
    await world.settle();
    assert.deepEqual(reports, ["refused: HTTP 503: the server fails, or a proxy cannot reach it"]);
  });

  test("opens nothing that waits for credentials in the meantime", async () => {
    const world = new World();
    let release: ((value: number) => void) | undefined;
    let isSlow = false;
    const credentials = (): unknown => (isSlow ? new Promise((resolve) => (release = resolve)) : 1);
    world.channel({ transports: ["websocket", "sse"], credentials });
    (await world.socket()).end();
    const stream = await world.openStream();
    isSlow = true;
    for (let second = 0; second < 30 && !release; second++) {
      stream.event({ type: "ping" });
      await world.pass(1);
      for (const request of world.requests.splice(0)) request.respond(200, [postAnswer()]);
    }
    stream.event({ type: "close", code: 1011, reason: "", by: "protocol", last: 0, ack: 0, retry_in: 30 });
    await world.settle();
    isSlow = false;
    release!(1);
    await world.pass(29);
    assert.equal(world.sockets.length, 0);
    await world.pass(3);
    assert.equal(world.sockets.length, 1);
  });

  test("waits even if it was a probe that was told, and the connection is lost", async () => {
    const world = new World();
    world.channel({ transports: ["websocket", "sse"] });
    (await world.socket()).end();
    const stream = await world.openStream();
    for (let second = 0; second < 30 && !world.sockets.length; second++) {
      stream.event({ type: "ping" });
      await world.pass(1);
      for (const request of world.requests.splice(0)) request.respond(200, [postAnswer()]);
    }
    const socket = await world.socket();
    socket.open();
    socket.receive({ type: "error", code: "too_many", message: "", retry_in: 300 });
    await world.settle();
    world.requests.length = 0;
    stream.end();
    await world.pass(299);
    assert.deepEqual([world.sockets.length, world.requests.length], [0, 0]);
    await world.pass(5);
    assert.ok(world.sockets.length + world.requests.length);
  });

  test("for a negative time backs off as usual", async () => {
    for (const [error, headers] of [
      [{ code: "unavailable", message: "", retry_in: -5 }, {}],
      [undefined, { "Retry-After": "-5" }],
    ] as const) {
      const world = new World();
      world.channel({ transports: ["sse"] });
      let attempts = 0;
      for (let second = 0; second < 60; second += 0.1) {
        for (const request of world.requests.splice(0)) {
          attempts++;
          if (error) request.respond(503, [{ type: "error", ...error }], "application/json");
          else request.respond(503, "<html>", "text/html", headers);
        }
        await world.pass(0.1);
      }
      assert.ok(attempts < 15, `${attempts}`);
    }
  });
});

describe("the cause", () => {
  test("is not the credentials if there is no WebSocket", async () => {
    const world = new World();
    const fails = class {
      constructor() {
        throw new DOMException("insecure", "SecurityError");
      }
    };
    Object.assign(world.environment, { WebSocket: fails });
    const { reports } = watched(world, {});
    await failAll(world, 10);
    assert.deepEqual([reports.length, reports[0]?.split(":")[0]], [1, "no_answer"]);
  });

  test("is not the credentials if no lock is granted", async () => {
    const world = new PageWorld();
    Object.assign(world.environment.navigator!, { locks: { request: () => new Promise(() => {}) } });
    const { reports } = watched(world, { transports: ["sse"] });
    await failAll(world, 25);
    assert.deepEqual([reports.length, reports[0]?.split(":")[0]], [1, "no_answer"]);
  });

  test("is the credentials if their function never resolves", async () => {
    const world = new World();
    const { reports } = watched(world, { credentials: () => new Promise(() => {}) });
    await world.pass(40);
    assert.deepEqual(reports, ["credentials: credentials: the function did not resolve within postTimeout"]);
  });

  for (const [code, cause] of [
    ["not_found", "wrong_url"],
    ["internal", "refused"],
  ] as const)
    test(`is what the hub itself says: ${code}`, async () => {
      const world = new World();
      const { channel, reports } = watched(world, { transports: ["sse", "longpoll"] });
      if (code === "internal") {
        const stream = await world.openStream();
        await world.pass(6);
        stream.end();
      }
      await refuseAll(world, 20, 500, { code, message: "see the log" });
      assert.deepEqual(reports, [`${cause}: the server answers ${code}: see the log`]);
      assert.equal(outcomes(channel).at(-1)!.split(" ")[1], "failed");
    });
});

describe("a diagnosis that comes late", () => {
  test("is dropped once something had connected", async () => {
    const world = new World();
    world.random = 0.01;
    const { reports } = watched(world, { transports: ["websocket"] });
    (await world.socket()).end();
    while (!world.sockets.length) await world.pass(0.1);
    const socket = await world.openSocket();
    socket.receive({ type: "drain", retry_in: 3 });
    world.gets[0]!.fail();
    await world.settle();
    assert.deepEqual(reports, []);
  });

  test("is dropped after reconnect(), whose outage is another", async () => {
    const world = new World();
    const { channel, reports } = watched(world, { transports: ["websocket"] });
    (await world.socket()).end();
    await world.settle();
    channel.reconnect();
    const get = world.gets.shift()!;
    get.fail();
    await world.settle();
    assert.deepEqual(reports, []);
    await failAll(world, 10);
    assert.equal(reports.length, 1);
  });
});
