import assert from "node:assert/strict";
import { test } from "node:test";
import { Lifetimes } from "../src/lifetimes.ts";

const cutAt = (...ages: number[]): number => {
  const lifetimes = new Lifetimes();
  for (const age of ages) lifetimes.record("sse", age);
  return lifetimes.cutAt("sse");
};

test("two connections lost at about the same age reveal a cut", () => {
  assert.equal(cutAt(60.5, 60), 60);
  assert.equal(cutAt(7, 60.5, 60), 60);
});

test("connections lost at different ages, once, or early are not cut", () => {
  for (const ages of [[], [60], [60, 7], [7, 60], [1, 1]]) assert.equal(cutAt(...ages), Infinity);
});

test("each transport has its own lifetimes", () => {
  const lifetimes = new Lifetimes();
  lifetimes.record("sse", 60);
  lifetimes.record("websocket", 60);
  assert.equal(lifetimes.cutAt("sse"), Infinity);
});
