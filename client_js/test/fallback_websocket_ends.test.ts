// A WebSocket on a channel: how it ends.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Inbox } from "../src/inbox.ts";
import { FAILED, SocketWorld, opened } from "./sockets.ts";

describe("the end of the session", () => {
  test("a reset fails the socket once, and no session is opened (RES-4)", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    socket.send("sent");
    await world.settle();
    connection.receive([2, 0, "last"]);
    connection.receive({ type: "reset", reason: "expired", lost: null, handled: null, in_hand: null });
    socket.send("late");
    await world.pass(600);
    assert.deepEqual(events.slice(1), [["message", "last"], ...FAILED]);
    assert.deepEqual([world.sockets.length, socket.readyState, socket.channel.state], [0, 3, "closed"]);
    socket.send("after");
    assert.equal(socket.bufferedAmount, "sentlateafter".length);
  });

  test("a session in place of the one that was lost is closed, and gets no message (RES-2)", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    socket.send("sent");
    await world.settle();
    connection.end();
    socket.send("during the cut");
    socket.send(new Blob(["later"]));
    await world.pass(2);
    const next = await world.socket();
    next.open();
    const loss = { reason: "restarted", lost: null, handled: null, in_hand: null };
    next.receive(opened(next.take()[0], { verdict: "reset", session: "token-b", id: "b", reset: loss }));
    next.receive([1, 0, { accept: null }, "of another session"]);
    await world.settle();
    // Nobody waits for its messages, so they are not kept.
    assert.equal((socket.channel as unknown as { _inbox: Inbox })._inbox.size, 0);
    assert.deepEqual(next.take(), [
      { type: "ack", ack: 2 },
      { type: "close", code: 1001, reason: "", by: "app", last: 0, ack: 2 },
    ]);
    next.receive({ type: "close", code: 1001, reason: "", by: "app", last: 1, ack: 0 });
    await world.pass(600);
    assert.deepEqual(events.slice(1), FAILED);
    assert.deepEqual([world.sockets.length, socket.channel.state], [0, "closed"]);
  });

  test("a reset before the accept fails the socket (RES-4)", async () => {
    const world = new SocketWorld();
    const { events } = world.dial();
    const connection = await world.openSocket();
    connection.receive({ type: "reset", reason: "expired", lost: null, handled: null, in_hand: null });
    await world.pass(600);
    assert.deepEqual([events, world.sockets.length], [FAILED, 0]);
  });

  test("a reset of a socket that is closing is an error too (RES-2)", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    connection.end();
    socket.send("last");
    socket.close(3000);
    const next = await world.socket();
    next.open();
    const loss = { reason: "restarted", lost: null, handled: null, in_hand: null };
    next.receive(opened(next.take()[0], { verdict: "reset", session: "token-b", id: "b", reset: loss }));
    await world.settle();
    const close = { type: "close", code: 3000, reason: "", by: "app", last: 0, ack: 0 };
    assert.deepEqual(next.take(), [{ type: "ack", ack: 0 }, close]);
    next.receive({ ...close, ack: 0 });
    await world.pass(600);
    assert.deepEqual(events.slice(1), FAILED);
    assert.deepEqual([world.sockets.length, socket.channel.state], [0, "closed"]);
  });

  test("a session that another page has taken fails the socket (ATT-5)", async () => {
    const world = new SocketWorld();
    const { events } = world.dial();
    const connection = await world.accept();
    connection.receive({ type: "error", code: "superseded", message: "", attach: 1, client: "of-another-page" });
    connection.end();
    await world.pass(600);
    for (const attempt of world.sockets.splice(0)) {
      attempt.open();
      attempt.receive({ type: "error", code: "superseded", message: "", attach: 9, client: "of-another-page" });
    }
    await world.settle();
    assert.deepEqual(events.slice(1), FAILED);
  });

  test("an outage that the session cannot have survived fails the socket, with no attempt after it", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    connection.end();
    for (let second = 0; second < 119; second++) {
      await world.pass(1);
      for (const attempt of world.sockets.splice(0)) attempt.end();
    }
    assert.deepEqual([socket.readyState, events.length], [1, 1]);
    await world.pass(5);
    for (const attempt of world.sockets.splice(0)) attempt.end();
    await world.pass(600);
    assert.deepEqual(events.slice(1), FAILED);
    assert.deepEqual([world.sockets.length, socket.channel.state], [0, "closed"]);
  });

  test("a suspended channel is no end", async () => {
    const world = new SocketWorld();
    const { socket } = world.dial();
    await world.accept();
    socket.channel.suspend();
    await world.pass(10);
    assert.equal(socket.readyState, 1);
    socket.channel.resume();
    await world.openSocket();
    assert.equal(socket.readyState, 1);
  });

  test("the server's close has its code and reason, after all messages (CLS-9)", async () => {
    const world = new SocketWorld();
    const { events } = world.dial();
    const connection = await world.accept();
    connection.receive([2, 0, "bye"]);
    connection.receive({ type: "close", code: 4001, reason: "over", by: "app", last: 2, ack: 0 });
    await world.settle();
    assert.deepEqual(events.slice(1), [
      ["message", "bye"],
      ["close", 4001, "over", true],
    ]);
  });

  test("a failure of the application closes with 1011, and no session is opened (CLS-8)", async () => {
    const world = new SocketWorld();
    const { events } = world.dial();
    const connection = await world.accept();
    connection.receive({ type: "close", code: 1011, reason: "failed", by: "protocol", last: 1, ack: 0, retry_in: 1 });
    await world.pass(600);
    assert.deepEqual(events.slice(1), [["close", 1011, "failed", true]]);
    assert.equal(world.sockets.length, 0);
  });
});

describe("close", () => {
  test("delivers what was sent before, and takes no message after it", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    socket.send(new Blob(["blob"]));
    socket.send("last");
    socket.close(3001, "done");
    socket.send("late");
    connection.receive([2, 0, "late too"]);
    await world.settle();
    assert.equal(socket.readyState, 2);
    assert.deepEqual(connection.take().slice(1), [
      [2, 2, "last"],
      { type: "close", code: 3001, reason: "done", by: "app", last: 2, ack: 2 },
    ]);
    connection.receive({ type: "close", code: 3001, reason: "done", by: "app", last: 2, ack: 2 });
    await world.settle();
    assert.deepEqual(events.slice(1), [["close", 3001, "done", true]]);
    assert.equal(socket.bufferedAmount, "late".length);
  });

  test("without a code ends with 1005, as a frame without a code does", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    socket.close();
    await world.settle();
    connection.receive({ type: "close", code: 1000, reason: "", by: "app", last: 1, ack: 0 });
    await world.settle();
    assert.deepEqual(events.slice(1), [["close", 1005, "", true]]);
  });

  test("checks its arguments in every state", async () => {
    const world = new SocketWorld();
    const { socket } = world.dial();
    const check = (): void => {
      for (const code of [0, 999, 1001, 2999, 5000, null, NaN, "x"])
        assert.throws(() => socket.close(code as number), { name: "InvalidAccessError" });
      assert.throws(() => socket.close(1000, "é".repeat(62)), { name: "SyntaxError" });
    };
    check();
    await world.accept();
    check();
    socket.close("3000.4" as unknown as number, "é".repeat(61) + "x");
    assert.equal(socket.readyState, 2);
    check();
  });
});
