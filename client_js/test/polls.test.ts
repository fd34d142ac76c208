// How long polls ask to be held (POL-3).
import assert from "node:assert/strict";
import { test } from "node:test";
import { createLink } from "../src/link.ts";
import { PollPacing } from "../src/polls.ts";

const link = createLink(1, "longpoll", "", 0);

test("polls ask for half the age at which one was cut, then slowly for more", () => {
  const polls = new PollPacing();
  assert.equal(polls.hold, Infinity);
  polls.ended(30, false);
  assert.equal(polls.hold, 15);
  polls.ended(15, true);
  assert.equal(polls.hold, 15 * 1.05);
});

test("a poll that was cut young does not slow the next polls", () => {
  const polls = new PollPacing();
  polls.ended(1.2, false);
  link.polledAt = 8;
  assert.deepEqual([polls.hold, polls.nextAt(link)], [1, 0]);
});

test("a poll that is answered early does not lengthen the hold", () => {
  const polls = new PollPacing();
  polls.ended(30, false);
  for (let message = 0; message < 20; message++) polls.ended(0.1, true);
  assert.equal(polls.hold, 15);
});

test("a poll that fails immediately does not shorten the hold", () => {
  const polls = new PollPacing();
  polls.ended(0.5, false);
  assert.equal(polls.hold, Infinity);
});

test("polls without a slot are not held, and are sent once a second", () => {
  const polls = new PollPacing();
  polls.allowHold(false);
  polls.ended(30, false);
  polls.ended(1, true);
  assert.equal(polls.hold, 0);
  link.polledAt = 8;
  assert.equal(polls.nextAt(link), 9);
  polls.allowHold(true);
  assert.deepEqual([polls.hold, polls.nextAt(link)], [Infinity, 0]);
});
