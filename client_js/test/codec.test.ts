// Which messages are refused, and how the others are encoded. Vectors cannot express this.
import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encodeData, encodeMessage } from "../src/codec.ts";
import { ChannelError } from "../src/errors.ts";

const LIMITS = { message: 1000, depth: 4 };
const bodyOf = (message: unknown): unknown => encodeMessage(message, LIMITS).body;
const refusal = (message: unknown): string => {
  try {
    encodeMessage(message, LIMITS);
  } catch (error) {
    assert.ok(error instanceof ChannelError);
    assert.equal(error.fate, "not_handled");
    return error.code;
  }
  return "taken";
};

test("a value that survives JSON unchanged is encoded (DAT-3)", () => {
  assert.equal(bodyOf({ a: [1, -0.5, null, true, "\u{1F600}"], "": {} }), '{"a":[1,-0.5,null,true,"\u{1F600}"],"":{}}');
  assert.equal(bodyOf(Object.assign(Object.create(null), { a: 1 })), '{"a":1}');
  assert.equal(bodyOf(2 ** 53 - 1), "9007199254740991");
  assert.equal(bodyOf([[[[1]]]]), "[[[[1]]]]");
});

test("a value that JSON would change is refused (DAT-3)", () => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  const refused: unknown[] = [
    ...[NaN, Infinity, -Infinity, 2 ** 53, -(2 ** 53), 1e300],
    ...["\ud800", "a\udc00", { "\ud800": 1 }],
    ...[undefined, () => 1, Symbol("s"), 1n],
    ...[
      new Date(0),
      new Map(),
      new Set(),
      new (class Point {})(),
      /x/,
      new Error("e"),
      new Float32Array(1),
      Object(1),
      Promise.resolve(),
    ],
    ...[[undefined], { a: undefined }, { toJSON: () => 1 }, { [Symbol("s")]: 1 }],
    [1, , 2],
    cycle,
    [[[[[1]]]]],
    { a: { b: { c: { d: {} } } } },
  ];
  for (const message of refused) assert.equal(refusal(message), "invalid_message");
});

test("the size is that of the UTF-8, or of the bytes (DAT-4)", () => {
  assert.equal(encodeMessage("ü\u{1F600}", LIMITS).size, 8);
  assert.equal(refusal("ü".repeat(500)), "too_large");
  assert.equal(refusal("x".repeat(998)), "taken");
  assert.equal(refusal(new Uint8Array(1001)), "too_large");
  assert.equal(refusal(new ArrayBuffer(1000)), "taken");
});

test("an encoded message does not change with its source", () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const view = bodyOf(bytes.subarray(1)) as Uint8Array;
  const buffer = bodyOf(bytes.buffer) as Uint8Array;
  bytes.fill(0);
  assert.deepEqual(
    [[...view], [...buffer]],
    [
      [2, 3],
      [1, 2, 3],
    ],
  );
});

test("a frame of a quarter of a million bytes is encoded and decoded", () => {
  const data = new Uint8Array(262144).fill(255);
  const frame = decode(
    JSON.stringify({ type: "bytes", number: 1, ack: 0, data: Buffer.from(data).toString("base64") }),
  );
  assert.deepEqual(frame.type === "data" && frame.messages, [data]);
  assert.equal(decode(encodeData(1, 0, ['"' + "x".repeat(262142) + '"'])).type, "data");
});
