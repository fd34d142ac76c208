// What a page is told if nothing connects: the `unreachable` event, and `explain()`.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { outcomes } from "./observe.ts";
import { PageWorld, World } from "./world.ts";
import type { ChannelOptions } from "../src/options.ts";
import type { Channel } from "../src/channel.ts";

/** Returns a channel in this world, and the causes and reasons that it reports. */
function watched(world: World, options: ChannelOptions): { channel: Channel; reports: string[] } {
  const { channel } = world.channel(options);
  const reports: string[] = [];
  channel.addEventListener("unreachable", ({ cause, reason }) => reports.push(`${cause}: ${reason}`));
  return { channel, reports };
}

/** Fails everything that is started in that many seconds: requests with this status, if any. */
async function failAll(world: World, seconds: number, status = 0, body = "<html>", type = "text/html"): Promise<void> {
  for (let second = 0; second < seconds; second += 0.1) {
    for (const socket of world.sockets.splice(0)) socket.end(1006);
    for (const request of [...world.requests.splice(0), ...world.gets.splice(0)])
      if (status) request.respond(status, body, type);
      else request.fail();
    await world.pass(0.1);
  }
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
