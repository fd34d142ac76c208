// The event `statechange`: one for each change of `channel.state`, just before the event that says why.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Channel } from "../src/channel.ts";
import { World, opened } from "./world.ts";

/** Records every event, and checks that each change of the state has its event. */
function record(channel: Channel): string[] {
  const seen: string[] = [];
  let known = channel.state;
  channel.onstatechange = ({ state, previous }) => {
    assert.deepEqual([previous, channel.state], [known, state]);
    assert.notEqual(state, previous);
    known = state;
    seen.push(`${previous} > ${state}`);
  };
  for (const type of ["open", "transport", "recovering", "resumed", "reset", "suspended", "close"] as const)
    channel.addEventListener(type, () => {
      if (type !== "reset") assert.equal(channel.state, known);
      seen.push(type);
    });
  return seen;
}

describe("statechange", () => {
  test("comes before open, recovering, resumed and close", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket"] });
    const seen = record(channel);
    const socket = await world.openSocket();
    assert.deepEqual(seen.splice(0), ["connecting > open", "transport", "open"]);
    socket.end();
    assert.deepEqual(seen.splice(0), ["open > recovering", "recovering"]);
    await world.pass(1);
    await world.openSocket();
    assert.deepEqual(seen.splice(0), ["recovering > open", "resumed"]);
    channel.suspend();
    const closed = channel.close();
    seen.length = 0;
    await world.pass(60);
    await closed;
    assert.deepEqual(seen, ["recovering > closed", "close"]);
  });

  test("comes between reset and the open that follows it", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket"] });
    const seen = record(channel);
    (await world.openSocket()).end();
    await world.pass(1);
    seen.length = 0;
    const reset = { reason: "expired", lost: [], handled: 0, in_hand: 0 };
    await world.openSocket({ verdict: "reset", session: "token-9", id: "b8", reset });
    assert.deepEqual(seen, ["reset", "recovering > open", "open"]);
  });

  test("comes before suspended, and alone when the channel resumes", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket"] });
    const seen = record(channel);
    await world.openSocket();
    seen.length = 0;
    channel.suspend();
    channel.suspend();
    assert.deepEqual(seen.splice(0), ["open > suspended", "suspended"]);
    channel.resume();
    assert.deepEqual(seen.splice(0), ["suspended > recovering"]);
    await world.openSocket();
    assert.deepEqual(seen, ["recovering > open", "resumed"]);
  });

  test("tells that the session must have expired, and not again when the page suspends it", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket"] });
    const seen = record(channel);
    (await world.openSocket()).end();
    seen.length = 0;
    await world.pass(200);
    assert.deepEqual(seen.splice(0), ["recovering > suspended", "suspended"]);
    channel.suspend();
    assert.deepEqual(seen, []);
  });

  test("tells of a channel that never connected", async () => {
    const { channel } = new World().channel();
    const seen = record(channel);
    await channel.close();
    assert.deepEqual(seen, ["connecting > closed", "close"]);
  });

  test("finds the transport and the id that are new", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["longpoll"] });
    const seen: unknown[] = [];
    channel.onstatechange = () => seen.push(channel.id, channel.transport);
    const poll = await world.request("poll");
    poll.respond(200, [opened(poll.lines[0])]);
    await world.settle();
    assert.deepEqual(seen, ["a7", "longpoll"]);
  });
});

describe("a listener of statechange", () => {
  test("may resume what was suspended", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket"] });
    await world.openSocket();
    channel.onstatechange = ({ state }) => {
      if (state === "suspended") channel.resume();
    };
    channel.suspend();
    assert.equal(channel.state, "recovering");
    await world.openSocket();
    assert.equal(channel.state, "open");
  });

  test("may suspend what is resumed", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["websocket"] });
    await world.openSocket();
    channel.suspend();
    channel.onstatechange = ({ state }) => {
      if (state === "recovering") channel.suspend();
    };
    channel.resume();
    await world.pass(100);
    assert.equal(channel.state, "suspended");
    assert.equal(world.sockets.length, 0);
  });

  test("may close the channel in each state", async () => {
    for (const when of ["open", "recovering", "suspended"] as const) {
      const world = new World();
      const { channel, events } = world.channel({ transports: ["websocket"] });
      channel.onstatechange = ({ state }) => {
        if (state === when) void channel.close(4000, when);
      };
      const socket = await world.openSocket();
      if (when === "suspended") channel.suspend();
      else socket.end();
      await world.settle();
      await world.pass(60);
      assert.deepEqual([channel.state, events.at(-1)![0]], ["closed", "close"]);
    }
  });
});
