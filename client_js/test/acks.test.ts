// When a standalone ack is sent (MRK-6).
import assert from "node:assert/strict";
import { test } from "node:test";
import { AckSchedule } from "../src/acks.ts";
import { createLink } from "../src/link.ts";
import { DEFAULT_TERMS } from "../src/terms.ts";

const link = createLink(1, "sse", "", 0);

test("an ack waits to be piggybacked, for a time that depends on the transport", () => {
  for (const [transport, due] of [
    ["websocket", 5],
    ["sse", 5.1],
    ["longpoll", 5.1],
  ] as const) {
    const acks = new AckSchedule();
    acks.record(1, 10, createLink(1, transport, "", 0), DEFAULT_TERMS, 5);
    assert.equal(acks.dueAt, due);
  }
});

test("an ack that frees a quarter of the window is due immediately", () => {
  for (const [count, size] of [
    [250, 0],
    [1, 262144],
  ] as const) {
    const acks = new AckSchedule();
    acks.record(count - 1, 0, link, DEFAULT_TERMS, 5);
    assert.ok(acks.dueAt > 5);
    acks.record(1, size, link, DEFAULT_TERMS, 5);
    assert.equal(acks.dueAt, 5);
  }
});

test("an ack is due until its mark is written", () => {
  const acks = new AckSchedule();
  acks.record(2, 10, link, DEFAULT_TERMS, 5);
  assert.equal(acks.takeDue(link, 5), false);
  assert.equal(acks.takeDue(link, 5.1), true);
  assert.equal(acks.takeMark(link), 2);
  assert.equal(acks.takeDue(link, 9), false);
  assert.equal(acks.dueAt, Infinity);
});

test("two standalone acks are at least an interval apart", () => {
  const acks = new AckSchedule();
  const socket = createLink(1, "websocket", "", 0);
  acks.record(1, 10, socket, DEFAULT_TERMS, 5);
  assert.equal(acks.takeDue(socket, 5), true);
  acks.takeMark(socket);
  acks.record(1, 10, socket, DEFAULT_TERMS, 5.02);
  assert.equal(acks.dueAt, 5.1);
});

test("what was received is clipped from a lost range (RES-4)", () => {
  const acks = new AckSchedule();
  acks.received = 3;
  assert.deepEqual(
    [[2, 5], [5, 7], [1, 3], []].map((lost) => acks.clipLostRange(lost)),
    [[4, 5], [5, 7], [], []],
  );
});
