// When a standalone ack is sent (MRK-6).
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { AckSchedule } from "../src/acks.ts";
import { createLink } from "../src/link.ts";
import type { Link } from "../src/link.ts";
import { DEFAULT_TERMS } from "../src/terms.ts";


let link: Link;
beforeEach(() => {
  link = createLink(1, "sse", "", 0);
});

test("an ack waits to be piggybacked, from the first message that it covers", () => {
  const acks = new AckSchedule();
  acks.record(1, 10, DEFAULT_TERMS, 5);
  acks.record(1, 10, DEFAULT_TERMS, 5.25);
  assert.equal(acks.dueOn(link), 5.5);
});

test("an ack that frees a quarter of the window is due immediately", () => {
  for (const [count, size] of [
    [250, 0],
    [1, 262144],
  ] as const) {
    const acks = new AckSchedule();
    acks.record(count - 1, size - 1, DEFAULT_TERMS, 5);
    assert.ok(acks.dueOn(link) > 5);
    acks.record(1, 1, DEFAULT_TERMS, 5);
    assert.equal(acks.dueOn(link), 5);
  }
});

test("messages and bytes do not add up to a quarter of the window", () => {
  const acks = new AckSchedule();
  acks.record(200, 200000, DEFAULT_TERMS, 5);
  assert.ok(acks.dueOn(link) > 5);
});

test("an ack is due until its mark is written", () => {
  const acks = new AckSchedule();
  acks.record(2, 10, DEFAULT_TERMS, 5);
  assert.equal(acks.dueOn(link), 5.5);
  assert.equal(acks.takeMark(link), 2);
  assert.equal(acks.dueOn(link), Infinity);
});

test("an ack is due immediately on a link that has not carried it", () => {
  const acks = new AckSchedule();
  acks.record(2, 10, DEFAULT_TERMS, 5);
  acks.setDueOn(createLink(2, "sse", "", 2));
  assert.equal(acks.dueOn(createLink(2, "sse", "", 2)), Infinity);
  acks.setDueOn(createLink(3, "sse", "", 1));
  assert.equal(acks.dueOn(createLink(3, "sse", "", 1)), 0);
});

test("what was received is clipped from a lost range (RES-4)", () => {
  const acks = new AckSchedule();
  acks.received = 3;
  assert.deepEqual(
    [[2, 5], [5, 7], [1, 3], []].map((lost) => acks.clipLostRange(lost)),
    [[4, 5], [5, 7], [], []],
  );
});
