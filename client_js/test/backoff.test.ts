import assert from "node:assert/strict";
import { test } from "node:test";
import { backoff } from "../src/backoff.ts";

test("full jitter, in the first retry too", () => {
  assert.equal(backoff(0, 0, 0.5, 30), 0);
  assert.equal(backoff(0, 0.5, 0.5, 30), 0.25);
  assert.equal(backoff(3, 0.5, 0.5, 30), 2);
});

test("never above the most, after however many failures", () => {
  assert.equal(backoff(10, 1, 0.5, 30), 30);
  assert.equal(backoff(5000, 1, 0.5, 30), 30);
});
