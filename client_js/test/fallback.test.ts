import assert from "node:assert/strict";
import { test } from "node:test";
import { TRANSPORTS, choose } from "../src/fallback.ts";

const FRESH = 300;

test("from best to most modest, each once in a round", () => {
  assert.equal(choose(TRANSPORTS, [], undefined, 0, FRESH), "websocket");
  assert.equal(choose(TRANSPORTS, ["websocket"], undefined, 0, FRESH), "sse");
  assert.equal(choose(TRANSPORTS, ["sse", "websocket"], undefined, 0, FRESH), "longpoll");
  assert.equal(choose(TRANSPORTS, TRANSPORTS, undefined, 0, FRESH), undefined);
});

test("only what is allowed, in the order that was asked for", () => {
  assert.equal(choose(["longpoll", "websocket"], [], undefined, 0, FRESH), "longpoll");
  assert.equal(choose(["longpoll"], [], { _name: "sse", _since: 0 }, 1, FRESH), "longpoll");
});

test("what worked last comes first, as long as that is fresh", () => {
  const learnt = { _name: "sse", _since: 100 } as const;
  assert.equal(choose(TRANSPORTS, [], learnt, 399, FRESH), "sse");
  assert.equal(choose(TRANSPORTS, ["sse"], learnt, 399, FRESH), "websocket");
  assert.equal(choose(TRANSPORTS, [], learnt, 400, FRESH), "websocket");
});
