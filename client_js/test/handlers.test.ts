// The `on…` properties: they behave as those of WebSocket do.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ChannelEventMap } from "../src/options.ts";
import { World } from "./world.ts";

/** Every event; tsc fails if one is missing. */
const TYPES: { [Type in keyof ChannelEventMap]: true } = {
  open: true,
  message: true,
  transport: true,
  statechange: true,
  recovering: true,
  resumed: true,
  reset: true,
  unreachable: true,
  suspended: true,
  close: true,
};

describe("an event handler", () => {
  test("exists for each event, is null at first, and is enumerable", () => {
    const { channel } = new World().channel();
    const names = Object.keys(TYPES).map((type) => `on${type}`);
    const found: string[] = [];
    for (const name in channel) if (name.startsWith("on")) found.push(name);
    assert.deepEqual(found.sort(), names.sort());
    for (const name of names) assert.equal(channel[name as "onopen"], null);
  });

  test("is called with the channel as this, and the event", () => {
    const { channel } = new World().channel();
    const calls: unknown[] = [];
    for (const type of Object.keys(TYPES)) {
      channel[`on${type}` as "onopen"] = function (event) {
        calls.push([this, event.type]);
      };
      channel.dispatchEvent(new Event(type));
    }
    assert.deepEqual(
      calls,
      Object.keys(TYPES).map((type) => [channel, type]),
    );
  });

  test("belongs to one channel", () => {
    const world = new World();
    const [one, other] = [world.channel().channel, world.channel().channel];
    one.onopen = () => assert.fail("it is the handler of another channel");
    assert.equal(other.onopen, null);
    other.dispatchEvent(new Event("open"));
  });

  test("keeps its place among the listeners when it is replaced", () => {
    const { channel } = new World().channel();
    const calls: string[] = [];
    const dispatch = (): string[] => {
      channel.dispatchEvent(new Event("open"));
      return calls.splice(0);
    };
    channel.addEventListener("open", () => calls.push("first"));
    channel.onopen = () => calls.push("handler");
    channel.addEventListener("open", () => calls.push("last"));
    assert.deepEqual(dispatch(), ["first", "handler", "last"]);
    const replaced = (): unknown => calls.push("replaced");
    channel.onopen = replaced;
    assert.equal(channel.onopen, replaced);
    assert.deepEqual(dispatch(), ["first", "replaced", "last"]);
    channel.onopen = null;
    assert.deepEqual(dispatch(), ["first", "last"]);
    channel.onopen = replaced;
    assert.deepEqual(dispatch(), ["first", "last", "replaced"]);
  });

  test("is removed by null and by anything that is no function", () => {
    const { channel } = new World().channel();
    for (const value of [null, undefined, {}, "alert()", 1]) {
      channel.onclose = () => assert.fail("it was removed");
      channel.onclose = value as null;
      assert.equal(channel.onclose, null);
      channel.dispatchEvent(new Event("close"));
    }
  });

  test("and a listener that are one function are both called", () => {
    const { channel } = new World().channel();
    let calls = 0;
    const count = (): unknown => calls++;
    channel.onopen = count;
    channel.addEventListener("open", count);
    channel.removeEventListener("open", count);
    channel.addEventListener("open", count);
    channel.dispatchEvent(new Event("open"));
    assert.equal(calls, 2);
  });

  test("of messages takes them, and leaves them to iterators once it is removed", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket"] });
    const socket = await world.openSocket();
    const seen: unknown[] = [];
    socket.receive([1, 0, "waits"]);
    channel.onmessage = ({ data }) => seen.push(data);
    await world.settle();
    socket.receive([2, 0, "arrives"]);
    assert.deepEqual(seen, ["waits", "arrives"]);
    channel.onmessage = null;
    socket.receive([3, 0, "kept"]);
    assert.deepEqual(await channel[Symbol.asyncIterator]().next(), { done: false, value: "kept" });
    assert.deepEqual(seen, ["waits", "arrives"]);
  });
});
