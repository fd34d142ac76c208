// The debug log: what it tells, and what it never tells.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Channel } from "../src/channel.ts";
import type { ChannelOptions } from "../src/options.ts";
import { PageWorld, World, opened, postAnswer } from "./world.ts";

let lines: string[] = [];

/** Returns the lines since the last call, without the channel's name. */
const take = (): string[] => lines.splice(0).map((line) => line.replace(/^onechannel \d+ /, ""));

beforeEach(() => {
  lines = [];
  Channel.debug = (line) => lines.push(line);
});

afterEach(() => {
  Channel.debug = false;
});

describe("the log tells", () => {
  test("attempts, frames and events over a WebSocket", async () => {
    const world = new World();
    const { channel } = world.channel();
    const socket = await world.openSocket();
    assert.deepEqual(take(), [
      "websocket pending after 0 ms",
      "websocket #1 > open attach=1 received=0 first_retained=1",
      "websocket #1 < opened version=1 attach=1 verdict=new received=0 handled=0 sent=0",
      "websocket #1 open after 0 ms",
      'event statechange state="open" previous="connecting"',
      'event transport transport="websocket"',
      "event open",
      "websocket #1 > ack ack=0",
    ]);
    void channel.send("a");
    void channel.send({ b: 1 });
    void channel.send(new Uint8Array(3));
    socket.receive([1, 0, "x", "y"]);
    socket.receive(new Uint8Array([0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 7]).buffer);
    await world.settle();
    assert.deepEqual(take(), [
      "websocket #1 < data 1-2 ack=0",
      "websocket #1 < bytes 3 ack=0",
      "websocket #1 > data 1-2 ack=3",
      "websocket #1 > bytes 3 ack=3",
    ]);
    world.now += 1;
    socket.end(1006);
    await world.settle();
    assert.deepEqual(take().slice(0, 4), [
      "websocket #1 < closed with 1006",
      "websocket #1 lost after 0 ms: closed with 1006",
      'event statechange state="recovering" previous="open"',
      "event recovering closed with 1006",
    ]);
  });

  test("requests and their answers", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    open.respond(200, [opened(open.lines[0])]);
    await world.request("poll");
    void channel.send("x");
    (await world.request("send")).respond(502, "<html>secret</html>");
    await world.settle();
    channel.close(3000, "secret");
    assert.deepEqual(take().slice(2), [
      "longpoll #1 < open answered with 200",
      "longpoll #1 < opened version=1 attach=1 verdict=new received=0 handled=0 sent=0",
      "longpoll #1 open after 0 ms",
      'event statechange state="open" previous="connecting"',
      'event transport transport="longpoll"',
      "event open",
      "longpoll #1 > poll attach=1 poll=1 ack=0",
      "longpoll #1 > send attach=1 ack=0",
      "longpoll #1 > data 1-1 ack=0",
      "longpoll #1 < post answered with 502",
      "longpoll #1 < not a frame",
    ]);
  });

  test("the frames of a final POST", async () => {
    const world = new PageWorld();
    const { channel } = world.channel();
    await world.openSocket();
    world.fire("window", "pagehide", { persisted: false });
    assert.deepEqual(take().slice(-3), [
      "websocket #1 > send attach=1",
      "websocket #1 > ack ack=0",
      "websocket #1 > leave",
    ]);
    assert.equal(channel.state, "open");
  });

  test("how a channel ends", async () => {
    const world = new World();
    world.channel();
    const socket = await world.openSocket();
    socket.receive({ type: "close", code: 4000, reason: "secret", by: "app", last: 0, ack: 0 });
    await world.settle();
    assert.deepEqual(take().slice(-4), [
      "websocket #1 < close code=4000 by=app last=0 ack=0",
      "websocket #1 > close code=4000 by=app last=0 ack=0",
      'event statechange state="closed" previous="open"',
      'event close code=4000 by="app" wasClean=true',
    ]);
  });

  test("which channel a line is of", async () => {
    for (const world of [new World(), new World()]) {
      world.channel();
      await world.openSocket();
    }
    assert.equal(new Set(lines.map((line) => line.split(" ")[1])).size, 2);
  });
});

describe("the log never tells", () => {
  const SECRET = "s3cret";
  const secrets = (): string[] => lines.filter((line) => line.includes(SECRET));

  for (const transport of ["websocket", "sse", "longpoll"] as const)
    test(`tokens, credentials or messages over ${transport}`, async () => {
      const world = new World();
      const options: ChannelOptions = { transports: [transport], credentials: () => ({ password: SECRET, n: 53 }) };
      const { channel } = world.channel(options, `http://localhost/${SECRET}?token=${SECRET}`);
      const answer = (open: unknown): object => opened(open, { session: SECRET, epoch: SECRET });
      const frames = [
        [1, 0, SECRET, { [SECRET]: SECRET }],
        { type: "bytes", number: 3, ack: 0, data: SECRET + "==" },
        { type: "renew", within: 30, credentials: SECRET },
        { type: "ack", ack: 0, unknown: SECRET },
        [SECRET, SECRET, SECRET],
        { type: "error", code: "bad_gateway", message: SECRET },
      ];
      const bytes = new TextEncoder().encode(SECRET);
      for (const message of [SECRET, { [SECRET]: SECRET }, bytes]) void channel.send(message);
      if (transport === "websocket") {
        const socket = await world.socket();
        socket.open();
        socket.receive(answer(socket.take()[0]));
        await world.settle();
        for (const frame of frames) socket.receive(frame);
      } else if (transport === "sse") {
        const stream = await world.request("sse");
        stream.stream();
        stream.event(answer(stream.lines[0]));
        stream.event({ type: "ack", ack: 0 });
        (await world.request("send")).respond(200, [postAnswer({ [SECRET]: SECRET })]);
        await world.settle();
        for (const frame of frames) stream.event(frame);
      } else {
        const open = await world.request("poll");
        open.respond(200, [answer(open.lines[0])]);
        (await world.request("poll")).respond(200, frames);
        (await world.request("send")).respond(500, SECRET);
      }
      await world.pass(5);
      void channel.close(3000, SECRET).catch(() => {});
      await world.pass(60);
      assert.ok(lines.length > 15, lines.join("\n"));
      assert.deepEqual(secrets(), []);
      assert.equal(channel.state, "closed");
    });

  test("credentials that are a number", async () => {
    const world = new World();
    world.channel({ credentials: 271828 });
    const socket = await world.openSocket();
    socket.receive({ type: "renew", within: 30 });
    await world.settle();
    assert.deepEqual(socket.take(), [{ type: "renew", credentials: 271828 }]);
    assert.equal(lines.at(-1)?.replace(/^.*? w/, "w"), "websocket #1 > renew");
    assert.equal(lines.join().includes("271828"), false);
  });

  test("errors of the application's credentials", async () => {
    for (const error of [new Error(SECRET), SECRET]) {
      const world = new World();
      const { channel } = world.channel({ credentials: () => Promise.reject(error), transports: ["websocket"] });
      await world.settle();
      assert.match(channel.explain()[0]!.reason, new RegExp(SECRET));
    }
    assert.deepEqual(take().slice(-2), [
      "websocket failed after 0 ms: see explain()",
      'event unreachable cause="credentials"',
    ]);
    assert.deepEqual(secrets(), []);
  });

  test("why a renewal of the credentials failed", async () => {
    const world = new World();
    let asked = 0;
    world.channel({ credentials: () => (asked++ ? Promise.reject(new Error(SECRET)) : 1) });
    const socket = await world.openSocket();
    socket.receive({ type: "renew", within: 30 });
    await world.settle();
    assert.deepEqual(take().slice(-2), ["websocket #1 < renew within=30", "event renewal failed"]);
  });

  test("the reason of a refusal beyond its code", async () => {
    const world = new World();
    world.channel();
    const socket = await world.socket();
    socket.open();
    socket.receive({ type: "error", code: "unauthorized", message: SECRET });
    await world.settle();
    assert.deepEqual(take().slice(-3), [
      "websocket #1 < error code=unauthorized",
      'event statechange state="closed" previous="connecting"',
      'event close code=4401 by="protocol" wasClean=false',
    ]);
  });
});

describe("the switch", () => {
  /** Returns what a new channel in `world` writes to the console. */
  async function consoleLines(world = new World()): Promise<string[]> {
    const written: string[] = [];
    const { log } = console;
    console.log = (line: string) => void written.push(line);
    try {
      world.channel();
      await world.openSocket();
    } finally {
      console.log = log;
    }
    return written;
  }

  test("is off by default, and then nothing is described or written", async () => {
    Channel.debug = false;
    assert.equal(Channel.debug, false);
    assert.deepEqual([await consoleLines(), lines], [[], []]);
  });

  test("true writes to the console, and may be set while a channel runs", async () => {
    Channel.debug = true;
    assert.equal(Channel.debug, true);
    assert.match((await consoleLines()).join("\n"), /^onechannel \d+ websocket pending after 0 ms\n/);
    Channel.debug = false;
    const world = new World();
    world.channel();
    await world.settle();
    Channel.debug = (line) => lines.push(line);
    await world.openSocket();
    assert.ok(take().includes("event open"));
  });

  test("an entry of localStorage turns it on for channels that are made later", async () => {
    Channel.debug = false;
    const world = new World();
    world.environment.localStorage!.setItem("onechannel debug", "1");
    assert.ok((await consoleLines(world)).length > 5);
  });

  test("a function that throws is left out, and the channel goes on", async () => {
    const errors: unknown[][] = [];
    const { error } = console;
    console.error = (...texts: unknown[]) => void errors.push(texts);
    try {
      const mine = new Error("mine");
      Channel.debug = () => {
        throw mine;
      };
      const world = new World();
      const { channel } = world.channel();
      await world.openSocket();
      assert.deepEqual(errors, [["Channel.debug failed and is off now:", mine]]);
      assert.deepEqual([channel.state, Channel.debug], ["open", false]);
    } finally {
      console.error = error;
    }
  });
});
