// Which messages are refused, and how the others are encoded. Vectors cannot express this.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
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

test("bytes of another realm are bytes (DAT-2)", () => {
  const [buffer, view] = runInNewContext("[new ArrayBuffer(2), new Uint8Array([1, 2])]") as [ArrayBuffer, Uint8Array];
  assert.deepEqual(bodyOf(buffer), new Uint8Array(2));
  assert.deepEqual(bodyOf(view), new Uint8Array([1, 2]));
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

test("only bytes are sent as bytes, whatever their tag", () => {
  assert.equal(bodyOf({ a: 1, [Symbol.toStringTag]: "Uint8Array" }), '{"a":1}');
  assert.deepEqual(bodyOf(runInNewContext("new Uint8Array([1, 2]).buffer")), new Uint8Array([1, 2]));
  assert.deepEqual(bodyOf(runInNewContext("new Uint8Array([1, 2])")), new Uint8Array([1, 2]));
  assert.deepEqual(bodyOf(Buffer.from([1, 2])), new Uint8Array([1, 2]));
});
