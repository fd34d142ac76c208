// What a page is told when the server's handler fails, or does not receive.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { watch } from "./observe.ts";
import { World, postAnswer } from "./world.ts";

const CLOSE = { type: "close", code: 1011, reason: "the server's handler failed", by: "protocol", last: 0, ack: 1 };

/** Returns a world, and what its channels write to the console. */
function worldWithConsole(): { world: World; written: string[] } {
  const world = new World();
  const written: string[] = [];
  Object.assign(world.environment, { console: { error: (text: string) => void written.push(text) } });
  return { world, written };
}

describe("a handler that fails", () => {
  test("is not what a close with 1011 of the application tells", async () => {
    const { world, written } = worldWithConsole();
    const { events } = world.channel();
    (await world.openSocket()).receive({ ...CLOSE, ack: 0, by: "app", reason: "later" });
    await world.settle();
    assert.deepEqual([events.at(-1), written], [["close", 1011, "later", "app", true], []]);
  });

  test("closes the channel, which the console explains", async () => {
    const { world, written } = worldWithConsole();
    const { channel, events } = world.channel();
    const socket = await world.openSocket();
    const sends = [watch(channel.send("a")), watch(channel.send("b")), watch(channel.send("c"))];
    await world.settle();
    socket.receive({ ...CLOSE, in_hand: 2 });
    await world.settle();
    assert.deepEqual(
      sends.map(({ outcome }) => outcome),
      ["handled", "closed: unknown", "closed: not_handled"],
    );
    assert.deepEqual(events.at(-1), ["close", 1011, "the server's handler failed", "protocol", true]);
    assert.equal(written.length, 1);
    assert.match(written[0]!, /^onechannel: the server's handler failed\. .*log/);
  });

  for (const transport of ["websocket", "sse"] as const)
    test(`with retry_in goes on with a new session over ${transport} (CLS-8)`, async () => {
      const { world, written } = worldWithConsole();
      const { channel, events } = world.channel({ transports: [transport] });
      const isSocket = transport === "websocket";
      const sends = [watch(channel.send("a")), watch(channel.send("b")), watch(channel.send("c"))];
      const answer = { ...CLOSE, last: 3, ack: 0 };
      if (isSocket) {
        const socket = await world.openSocket();
        socket.receive({ ...CLOSE, in_hand: 2, retry_in: 3 });
        assert.deepEqual([socket.take(), socket.readyState], [[answer], 3]);
      } else {
        const stream = await world.openStream();
        (await world.request("send")).respond(200, [postAnswer({ ack: 1, received: 3 })]);
        await world.settle();
        stream.event({ ...CLOSE, in_hand: 2, retry_in: 3 });
        assert.deepEqual((await world.request("send")).lines.slice(1), [answer]);
      }
      await world.settle();
      assert.deepEqual(
        sends.map(({ outcome }) => outcome),
        ["handled", "reset: unknown", "reset: not_handled"],
      );
      const [reset, recovering] = events.slice(-2);
      assert.deepEqual([reset!.slice(0, 3), recovering], [["reset", "failed", []], ["recovering", "reset"]]);
      const next = watch(channel.send("d"));
      await world.pass(2.9);
      assert.equal(world.sockets.length + world.requests.length, 0);
      await world.pass(0.7);
      const id = { id: "b8", received: 0 };
      if (isSocket) (await world.openSocket(id)).receive({ type: "ack", ack: 1 });
      else (await world.openStream(id)).event({ type: "ack", ack: 1 });
      await world.settle();
      assert.deepEqual([events.at(-1), next.outcome, channel.state], [["open"], "handled", "open"]);
      assert.equal(written.length, 1);
    });

  test("again and again makes the page wait longer each time (CLS-8)", async () => {
    const { world } = worldWithConsole();
    world.random = 1;
    const { channel } = world.channel({ transports: ["websocket"] });
    const waits: number[] = [];
    let socket = await world.openSocket();
    for (let failure = 0; failure < 6; failure++) {
      const failedAt = world.now;
      socket.receive({ ...CLOSE, ack: 0, retry_in: 1 });
      while (!world.sockets.length) await world.pass(0.1);
      waits.push(world.now - failedAt);
      socket = await world.openSocket({ id: `s${failure}` });
    }
    assert.deepEqual(
      waits.map((wait, index) => wait > (waits[index - 1] ?? 1)),
      waits.map(() => true),
      `${waits}`,
    );
    assert.ok(waits.at(-1)! > 20 && waits.at(-1)! < 35, `${waits}`);
    assert.equal(channel.explain().at(-1)!.transport, "websocket");
  });

  test("ends a channel that was closed by its page", async () => {
    const { world } = worldWithConsole();
    const { channel, events } = world.channel();
    const socket = await world.openSocket();
    void channel.close();
    await world.settle();
    socket.receive({ ...CLOSE, ack: 0, retry_in: 1 });
    await world.pass(10);
    assert.deepEqual(
      [events.at(-1), world.sockets.length],
      [["close", 1011, "the server's handler failed", "protocol", true], 0],
    );
  });
});

test("a message that no handler receives is rejected, and what follows is sent again (DAT-7)", async () => {
  const world = new World();
  const { channel } = world.channel();
  const socket = await world.openSocket();
  const sends = [watch(channel.send("a")), watch(channel.send("b"))];
  await world.settle();
  socket.take();
  socket.receive({ type: "error", code: "not_read", message: "", number: 1 });
  await world.settle();
  assert.deepEqual(socket.take(), [
    { type: "skip", number: 1, ack: 0 },
    [2, 0, "b"],
  ]);
  socket.receive({ type: "ack", ack: 2 });
  await world.settle();
  assert.deepEqual(
    sends.map(({ outcome }) => outcome),
    ["not_read: not_handled", "handled"],
  );
});

test("an overflow says how many messages it counted, and from where on they are missing (RES-2)", async () => {
  const world = new World();
  const { channel } = world.channel();
  const resets: unknown[] = [];
  channel.addEventListener("reset", ({ reason, lost, dropped }) => resets.push({ reason, lost, dropped }));
  channel.addEventListener("message", () => {});
  const socket = await world.openSocket();
  socket.receive([1, 0, "a"]);
  socket.receive({ type: "reset", reason: "overflow", lost: [1, null], handled: 0, in_hand: 0, dropped: 4 });
  await world.settle();
  assert.deepEqual(resets, [{ reason: "overflow", lost: [2, null], dropped: 4 }]);
});
