import assert from "node:assert/strict";
import { test } from "node:test";
import { ATTACH, CHANNEL, step } from "../src/states.ts";
import type { ChannelState } from "../src/states.ts";

const INPUTS = ["opened", "lost", "expire", "suspend", "resume", "close"];

test("every state of a channel leads on only as the table says", () => {
  const allowed = Object.entries(CHANNEL).flatMap(([state, row]) => Object.keys(row).map((input) => `${state} ${input}`));
  assert.deepEqual(allowed.sort(), [
    "connecting close",
    "connecting opened",
    "connecting suspend",
    "open close",
    "open lost",
    "open suspend",
    "recovering close",
    "recovering expire",
    "recovering opened",
    "recovering suspend",
    "suspended close",
    "suspended opened",
    "suspended resume",
    "suspended suspend",
  ]);
  for (const state of Object.keys(CHANNEL) as ChannelState[])
    for (const input of INPUTS)
      if (!allowed.includes(`${state} ${input}`)) assert.throws(() => step(CHANNEL, state, input), /no /);
});

test("an attach goes one way (ATT-2, ATT-3)", () => {
  assert.equal(step(ATTACH, "fresh", "open"), "opening");
  assert.equal(step(ATTACH, "opening", "opened"), "provisional");
  assert.equal(step(ATTACH, "provisional", "confirm"), "confirmed");
  assert.throws(() => step(ATTACH, "confirmed", "opened"));
  assert.throws(() => step(ATTACH, "fresh", "confirm"));
});
