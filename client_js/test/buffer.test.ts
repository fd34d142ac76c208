import assert from "node:assert/strict";
import { test } from "node:test";
import { SendBuffer } from "../src/buffer.ts";
import { LIMITS } from "./world.ts";

function filled(count: number, size = 1): SendBuffer<number> {
  const buffer = new SendBuffer<number>();
  for (let tag = 1; tag <= count; tag++) buffer.entries.push({ body: "0", size, tag });
  return buffer;
}

/** Numbers as many messages as the window allows. Returns how many. */
function number(buffer: SendBuffer<number>, limits = LIMITS): number {
  let next = buffer.first;
  for (let entry; (entry = buffer.peek(next, limits)); next++) buffer.markWritten(next, entry);
  return next - buffer.first;
}

const tags = (entries: readonly { tag: number | undefined }[]): unknown[] => entries.map(({ tag }) => tag);

test("a message is numbered once, when it is first written (NUM-2)", () => {
  const buffer = filled(3);
  assert.equal(buffer.next, 1);
  buffer.markWritten(1, buffer.peek(1, LIMITS)!);
  buffer.markWritten(1, buffer.peek(1, LIMITS)!);
  assert.deepEqual([buffer.first, buffer.next, buffer.bytes], [1, 2, 1]);
});

test("an ack removes all up to its mark, an old ack none (NUM-4, MRK-4)", () => {
  const buffer = filled(4);
  number(buffer);
  assert.deepEqual(tags(buffer.acknowledge(3)), [1, 2, 3]);
  assert.deepEqual(tags(buffer.acknowledge(3)), []);
  assert.deepEqual(tags(buffer.acknowledge(1)), []);
  assert.deepEqual([buffer.first, buffer.next, buffer.bytes], [4, 5, 1]);
  assert.equal(buffer.peek(3, LIMITS), undefined);
});

test("the window bounds the numbered messages (DAT-6)", () => {
  const messages = filled(5);
  assert.equal(number(messages, { ...LIMITS, window_messages: 2 }), 2);
  messages.acknowledge(1);
  assert.equal(number(messages, { ...LIMITS, window_messages: 2 }), 2);
  assert.equal(number(filled(5, 40), { ...LIMITS, window_bytes: 100 }), 2);
});

test("one message always fits an empty window (DAT-6)", () => {
  const buffer = filled(2, 1000);
  assert.equal(number(buffer, { ...LIMITS, window_bytes: 100 }), 1);
});

test("a numbered message may be repeated when the window is full", () => {
  const buffer = filled(3);
  number(buffer);
  assert.equal(number(buffer, { ...LIMITS, window_messages: 1 }), 3);
});
