import assert from "node:assert/strict";
import { test } from "node:test";
import { CHANNEL_TRANSITIONS, transition } from "../src/states.ts";
import type { ChannelState } from "../src/states.ts";

const INPUTS = ["opened", "lost", "expire", "suspend", "resume", "close"];

test("a channel changes state only as its table says", () => {
  const allowed = Object.entries(CHANNEL_TRANSITIONS).flatMap(([state, row]) =>
    Object.keys(row).map((input) => `${state} ${input}`),
  );
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
  for (const state of Object.keys(CHANNEL_TRANSITIONS) as ChannelState[])
    for (const input of INPUTS)
      if (!allowed.includes(`${state} ${input}`))
        assert.throws(() => transition(CHANNEL_TRANSITIONS, state, input), / when /);
});
