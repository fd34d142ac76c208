// What a channel accepts as options: each at, below and above its bounds.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ChannelError } from "../src/errors.ts";
import { withDefaults } from "../src/options.ts";
import type { ChannelOptions } from "../src/options.ts";
import { World } from "./world.ts";

const refusal = (options: unknown): string => {
  try {
    withDefaults(options as ChannelOptions);
  } catch (error) {
    assert.ok(error instanceof ChannelError, `${error}`);
    assert.equal(error.code, "invalid_argument");
    return error.message;
  }
  return "accepted";
};

/** The least and the greatest value of each number, and its unit. */
const BOUNDS: { [name: string]: [number, number, string] } = {
  headStart: [0, 600, "seconds"],
  openTimeout: [0.1, 600, "seconds"],
  postTimeout: [0.1, 600, "seconds"],
  retryBase: [0.01, 60, "seconds"],
  retryMax: [0.01, 3600, "seconds"],
  fallbackFor: [0.1, 86400, "seconds"],
  queueMessages: [1, 1e7, "integer"],
  queueBytes: [1, 1e10, "integer"],
};

describe("a number", () => {
  for (const [name, [least, greatest, unit]] of Object.entries(BOUNDS)) {
    test(`${name} is accepted from ${least} to ${greatest}`, () => {
      for (const value of [least, greatest, unit === "integer" ? least + 1 : (least + greatest) / 2])
        assert.equal((withDefaults({ [name]: value }) as unknown as { [name: string]: number })[name], value);
    });

    test(`${name} is refused outside of that, or as anything else`, () => {
      const outside = unit === "integer" ? [least - 1, greatest + 1, 1.5] : [least - 0.001, greatest + 0.001];
      const kind = unit === "integer" ? "an integer" : "a number of seconds";
      for (const value of [...outside, -1, NaN, Infinity, -Infinity, "1.2", "", null, true, 1n, [1], {}, () => 1])
        assert.equal(refusal({ [name]: value }), `option ${name} must be ${kind} from ${least} to ${greatest}`);
    });
  }

  test("every number has bounds, and its default is within them", () => {
    const numbers = Object.entries(withDefaults({})).filter(([, value]) => typeof value === "number");
    assert.deepEqual(numbers.map(([name]) => name).sort(), Object.keys(BOUNDS).sort());
    for (const [name, value] of numbers) assert.equal(refusal({ [name]: value }), "accepted");
  });
});

describe("other options", () => {
  test("transports are some of the three, each once", () => {
    const allowed = (transports: unknown): unknown => withDefaults({ transports } as ChannelOptions).transports;
    assert.deepEqual(allowed(["longpoll", "sse"]), ["longpoll", "sse"]);
    assert.deepEqual(allowed(["sse", "sse", "websocket", "sse"]), ["sse", "websocket"]);
    for (const transports of [[], ["ws"], ["sse", null], "sse", "", null, {}, 1])
      assert.equal(refusal({ transports }), "transports must be an array of some of websocket, sse, longpoll");
  });

  test("withCredentials is a boolean", () => {
    for (const withCredentials of [true, false]) assert.equal(refusal({ withCredentials }), "accepted");
    for (const withCredentials of ["include", 1, null, "false"])
      assert.equal(refusal({ withCredentials }), "option withCredentials must be true or false");
  });

  test("an unknown name is refused, unless it is undefined", () => {
    const known =
      "transports, withCredentials, credentials, " +
      "headStart, openTimeout, postTimeout, retryBase, retryMax, fallbackFor, queueMessages, queueBytes";
    for (const name of ["headstart", "timeout", "0", "constructor", "__proto__"])
      assert.equal(
        refusal(JSON.parse(`{"${name}": 1}`)),
        `there is no option ${name}, only ${known}`,
      );
    assert.equal(refusal({ headstart: undefined }), "accepted");
  });

  test("all are given as an object", () => {
    for (const options of [null, "websocket", 1, true, ["websocket"], () => 1])
      assert.match(refusal(options), /^options must be an object|^there is no option 0,/);
    assert.equal(refusal(Object.create(null)), "accepted");
  });

  test("undefined gives the default", () => {
    const missing = Object.fromEntries(Object.keys(withDefaults({})).map((name) => [name, undefined]));
    assert.deepEqual(withDefaults(missing), withDefaults({}));
  });
});

describe("a channel", () => {
  test("throws for a wrong option and starts nothing", async () => {
    const world = new World();
    assert.throws(() => world.channel({ headStart: NaN }), ChannelError);
    assert.throws(() => world.channel({ transport: "sse" } as ChannelOptions), ChannelError);
    await world.pass(10);
    assert.deepEqual([world.sockets.length, world.requests.length, world.timersSet], [0, 0, 0]);
  });

  test("with a transport given twice notices an outage", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse", "sse"] });
    (await world.request("sse")).fail();
    await world.pass(2);
    await world.request("sse");
    channel.transports = ["longpoll", "longpoll"];
    assert.deepEqual(channel.transports, ["longpoll"]);
  });
});

test("an option may be given as undefined, as its type says", () => {
  const timeout: number | undefined = undefined;
  const options: ChannelOptions = { transports: undefined, withCredentials: undefined, openTimeout: timeout };
  assert.equal(withDefaults(options).openTimeout, 8);
});
