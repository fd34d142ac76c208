// How an application closes its channel.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { watch } from "./observe.ts";
import { World, opened, postAnswer } from "./world.ts";

describe("close", () => {
  test("everything sent before close is handled first (CLS-2)", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    const send = watch(channel.send("x"));
    const closed = watch(channel.close(3001, "done"));
    const late = watch(channel.send("y"));
    const socket = await world.socket();
    socket.open();
    socket.receive(opened(socket.take()[0]));
    await world.settle();
    assert.equal(late.outcome, "closed: not_handled");
    assert.deepEqual(socket.take().slice(1), [
      [1, 0, "x"],
      { type: "close", code: 3001, reason: "done", by: "app", last: 1, ack: 0 },
    ]);
    assert.equal(closed.outcome, "pending");
    socket.receive([1, 1, "bye"]);
    socket.receive({ type: "close", code: 3001, reason: "done", by: "app", last: 1, ack: 1 });
    await world.settle();
    assert.deepEqual([send.outcome, closed.outcome, channel.state], ["handled", "handled", "closed"]);
    assert.deepEqual(socket.take(), [{ type: "ack", ack: 1 }]);
    assert.equal(socket.readyState, 3);
    assert.deepEqual(events.at(-1), ["close", 3001, "done", "app", true]);
  });

  test("a channel that never connected closes immediately", async () => {
    const world = new World();
    const { channel, events } = world.channel();
    await channel.close();
    await world.pass(10);
    assert.deepEqual([events, world.sockets.length], [[["close", 1000, "", "app", true]], 0]);
  });

  test("a channel with an unreachable server closes, and reports fates", async () => {
    const world = new World();
    const { channel, events } = world.channel({ transports: ["websocket"] });
    const socket = await world.openSocket();
    const sent = watch(channel.send("x"));
    await world.settle();
    socket.end();
    const unsent = watch(channel.send("y"));
    const closed = watch(channel.close());
    await world.pass(29);
    assert.equal(closed.outcome, "pending");
    await world.pass(2);
    assert.deepEqual(
      [sent.outcome, unsent.outcome, closed.outcome],
      ["closed: unknown", "closed: not_handled", "handled"],
    );
    assert.deepEqual(events.at(-1), ["close", 1001, "unreachable", "protocol", false]);
  });

  test("answers from an intermediary do not extend the close timeout", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse", "longpoll"] });
    const stream = await world.request("sse");
    stream.stream();
    stream.event(opened(stream.lines[0]));
    (await world.request("send")).respond(200, [postAnswer()]);
    await world.settle();
    const sent = watch(channel.send("x"));
    await world.settle();
    stream.end();
    const closed = watch(channel.close());
    for (let second = 0; second < 40; second++) {
      for (const request of world.requests.splice(0)) request.respond(200, "<html>log in</html>", "text/html");
      await world.pass(1);
    }
    assert.deepEqual([closed.outcome, sent.outcome], ["handled", "closed: unknown"]);
  });

  test("close does not wait for a backoff", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["sse"] });
    (await world.request("sse")).respond(503, [{ type: "error", code: "unavailable", message: "", retry_in: 60 }]);
    await world.settle();
    channel.send("x");
    channel.close();
    await world.request("sse");
  });

  test("the server's close is answered although a POST is in flight (CLS-3)", async () => {
    const world = new World();
    const { channel } = world.channel({ transports: ["longpoll"] });
    const open = await world.request("poll");
    const send = watch(channel.send("x"));
    open.respond(200, [opened(open.lines[0])]);
    await world.request("send");
    (await world.request("poll")).respond(200, [
      [1, 0, "bye"],
      { type: "close", code: 4000, reason: "r", by: "app", last: 1, ack: 0 },
    ]);
    assert.deepEqual((await world.request("send")).lines.slice(1), [
      { type: "close", code: 4000, reason: "r", by: "app", last: 1, ack: 1 },
    ]);
    assert.equal(send.outcome, "closed: not_handled");
    assert.equal(world.requests.length, 0);
  });

  test("a channel closes if another page takes its session (ATT-5)", async () => {
    const world = new World();
    const { events } = world.channel();
    const socket = await world.openSocket();
    socket.receive({ type: "error", code: "superseded", message: "", attach: 9, client: "another-0123456789" });
    await world.pass(60);
    assert.deepEqual(events.at(-1), ["close", 4409, "superseded: taken by another page", "protocol", false]);
    assert.equal(world.sockets.length, 0);
  });
});
