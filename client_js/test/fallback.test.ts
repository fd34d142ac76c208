import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TRANSPORTS, checkTransports, nextAttempt, penalize } from "../src/fallback.ts";
import type { Penalties, Penalty } from "../src/fallback.ts";
import type { TransportName } from "../src/frames.ts";

interface Vector {
  title: string;
  allowed?: readonly TransportName[];
  penalties?: Penalties;
  /** The transport, when its head start began, and whether it has failed. */
  trials?: [TransportName, number, "failed"?][];
  active?: TransportName;
  rotateAt?: number;
  probeAfter?: { [Name in TransportName]?: number };
  now: number;
  /** The transport to start, or when to ask again. */
  expect: TransportName | number;
}

const penalty = (probeAt: number): Penalty => ({ probeAt, wait: 15 });

/** The head start is 1 s in each. */
const VECTORS: Vector[] = [
  { title: "WebSocket starts immediately", now: 0, expect: "websocket" },
  { title: "WebSocket has a head start", trials: [["websocket", 0]], now: 0.5, expect: 1 },
  { title: "SSE starts in parallel", trials: [["websocket", 0]], now: 1, expect: "sse" },
  {
    title: "SSE has a head start of its own",
    trials: [
      ["websocket", 0],
      ["sse", 1],
    ],
    now: 1,
    expect: 2,
  },
  {
    title: "long polling starts third",
    trials: [
      ["websocket", 0],
      ["sse", 1],
    ],
    now: 2,
    expect: "longpoll",
  },
  {
    title: "nothing is left to start",
    trials: [
      ["websocket", 0],
      ["sse", 1],
      ["longpoll", 2],
    ],
    now: 3,
    expect: Infinity,
  },
  { title: "a failure starts the next immediately", trials: [["websocket", 0, "failed"]], now: 0.1, expect: "sse" },
  {
    title: "a pending one keeps its head start after a failure",
    trials: [
      ["websocket", 0, "failed"],
      ["sse", 0.1],
    ],
    now: 0.2,
    expect: 1.1,
  },
  {
    title: "a failure starts the next although another is pending",
    trials: [
      ["websocket", 0],
      ["sse", 1, "failed"],
    ],
    now: 1.1,
    expect: "longpoll",
  },
  {
    title: "nothing starts when all have failed",
    trials: [
      ["websocket", 0, "failed"],
      ["sse", 0, "failed"],
      ["longpoll", 0, "failed"],
    ],
    now: 1,
    expect: Infinity,
  },
  {
    title: "only allowed transports start, in their order",
    allowed: ["longpoll", "websocket"],
    now: 0,
    expect: "longpoll",
  },
  { title: "a transport with a penalty comes last", penalties: { websocket: penalty(50) }, now: 0, expect: "sse" },
  {
    title: "a transport with a penalty comes last even if its probe is due",
    penalties: { websocket: penalty(50) },
    now: 60,
    expect: "sse",
  },
  {
    title: "a transport with a penalty starts after the others",
    penalties: { websocket: penalty(50) },
    trials: [
      ["sse", 0, "failed"],
      ["longpoll", 0],
    ],
    now: 1,
    expect: "websocket",
  },
  {
    title: "penalties on all keep the usual order",
    penalties: { websocket: penalty(9), sse: penalty(9), longpoll: penalty(9) },
    now: 0,
    expect: "websocket",
  },
  { title: "nothing is probed while the best is active", active: "websocket", now: 9, expect: Infinity },
  { title: "a better one without a penalty is probed immediately", active: "sse", now: 0, expect: "websocket" },
  {
    title: "a pending probe is not started twice",
    active: "sse",
    trials: [["websocket", 0]],
    now: 9,
    expect: Infinity,
  },
  {
    title: "a probe waits for its penalty",
    active: "longpoll",
    penalties: { websocket: penalty(30), sse: penalty(600) },
    now: 9,
    expect: 30,
  },
  {
    title: "a probe starts when it is due",
    active: "longpoll",
    penalties: { websocket: penalty(30), sse: penalty(600) },
    now: 30,
    expect: "websocket",
  },
  {
    title: "a probe waits if the last one said nothing of its transport",
    active: "longpoll",
    probeAfter: { websocket: 20, sse: 30 },
    now: 9,
    expect: 20,
  },
  {
    title: "a probe waits for whichever is later",
    active: "sse",
    penalties: { websocket: penalty(30) },
    probeAfter: { websocket: 20 },
    now: 25,
    expect: 30,
  },
  {
    title: "the earliest probe starts first",
    active: "longpoll",
    penalties: { websocket: penalty(60), sse: penalty(20) },
    now: 99,
    expect: "sse",
  },
  {
    title: "a worse one is never probed",
    active: "sse",
    penalties: { websocket: penalty(60), longpoll: penalty(1) },
    now: 9,
    expect: 60,
  },
  {
    title: "the active one is replaced when it is due",
    active: "sse",
    penalties: { websocket: penalty(99) },
    rotateAt: 40,
    now: 40,
    expect: "sse",
  },
  { title: "the active one is not replaced before", active: "websocket", rotateAt: 40, now: 39, expect: 40 },
  {
    title: "the active one is not replaced twice",
    active: "websocket",
    trials: [["websocket", 40]],
    rotateAt: 40,
    now: 41,
    expect: Infinity,
  },
];

describe("nextAttempt", () => {
  for (const {
    title,
    allowed = TRANSPORTS,
    penalties = {},
    trials = [],
    active,
    rotateAt = Infinity,
    probeAfter = {},
    now,
    expect,
  } of VECTORS)
    test(title, () => {
      const begun = trials.map(([transport, racingSince, failed]) => ({
        transport,
        racingSince,
        failed: failed === "failed",
      }));
      const connection = active && { transport: active, rotateAt, probeAfter };
      assert.equal(nextAttempt(allowed, penalties, begun, connection, 1, now), expect);
    });
});

test("the wait for a probe doubles up to the maximum, with jitter", () => {
  let current = penalize(undefined, false, 100, 1, 300);
  const waits = [current.probeAt - 100];
  for (let probe = 0; probe < 6; probe++) waits.push((current = penalize(current, false, 0, 1, 300)).probeAt);
  assert.deepEqual(waits, [15, 30, 60, 120, 240, 300, 300]);
  assert.equal(penalize(undefined, false, 100, 0, 300).probeAt, 107.5);
  assert.equal(penalize(current, true, 100, 1, 900).probeAt, 700);
});

test("a stream that is buffered is not probed later than the maximum", () => {
  assert.equal(penalize(undefined, true, 100, 1, 300).probeAt, 400);
});

test("a transport that is named twice counts once", () => {
  assert.deepEqual(checkTransports(["sse", "sse", "longpoll"]), ["sse", "longpoll"]);
});
