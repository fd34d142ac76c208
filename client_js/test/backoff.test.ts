import assert from "node:assert/strict";
import { test } from "node:test";
import { backoff } from "../src/backoff.ts";

test("backoff has full jitter, even for the first retry", () => {
  assert.equal(backoff(0, 0, 0.5, 30), 0);
  assert.equal(backoff(0, 0.5, 0.5, 30), 0.25);
  assert.equal(backoff(3.5, 0.5, 0.5, 30), 2);
});

test("backoff never exceeds the maximum", () => {
  assert.equal(backoff(29.5, 1, 0.5, 30), 30);
  assert.equal(backoff(1e9, 1, 0.5, 30), 30);
});

test("backoff barely exceeds the length of a short outage", () => {
  for (let unlucky = 0; unlucky < 5;) {
    const wait = backoff(unlucky, 1, 0.5, 30);
    unlucky += wait;
    assert(unlucky < 2 * 5 + 0.5);
  }
});
