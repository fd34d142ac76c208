import assert from "node:assert/strict";
import { test } from "node:test";
import { eventParser } from "../src/event_stream.ts";

const parse = (...chunks: string[]): string[] => chunks.flatMap(eventParser());

test("an event is the content of its data line (SSE-1)", () => {
  assert.deepEqual(parse("data: a\n\ndata: b\n\n"), ["a", "b"]);
  assert.deepEqual(parse("data:a\n\ndata:  b\n\n"), ["a", " b"]);
});

test("an incomplete line waits for the rest", () => {
  assert.deepEqual(parse("data: a"), []);
  assert.deepEqual(parse("da", "ta", ": a", "\n", "\n"), ["a"]);
});

test("lines end with LF, CR or CRLF, however they are split", () => {
  for (const end of ["\n", "\r", "\r\n"]) {
    const stream = `data: a${end}${end}data: b${end}${end}data: c${end}${end}:${end}`;
    assert.deepEqual(parse(stream), ["a", "b", "c"]);
    assert.deepEqual(parse(...stream), ["a", "b", "c"]);
  }
});

test("lines do not end with other separators (FRM-2)", () => {
  assert.deepEqual(parse("data: a\u2028b\u2029c\u0085d\ve\n\n"), ["a\u2028b\u2029c\u0085d\ve"]);
});

test("comments and other fields are ignored", () => {
  assert.deepEqual(parse(": hello\n\nevent: x\nid: 1\nretry: 5\ndatas: no\ndata: a\n\n\n\n"), ["a"]);
});

test("each chunk is read once, so the work is linear in the size of a frame", () => {
  const size = 2 ** 18;
  const stream = "data: " + "x".repeat(size) + "\n\n";
  const parser = eventParser();
  const frames: string[] = [];
  let scanned = 0;
  const { split } = String.prototype;
  String.prototype.split = function (this: string, ...separator: [string]) {
    scanned += this.length;
    return Reflect.apply(split, this, separator) as string[];
  } as typeof split;
  try {
    for (let at = 0; at < stream.length; at += 16) frames.push(...parser(stream.slice(at, at + 16)));
  } finally {
    String.prototype.split = split;
  }
  assert.equal(frames.length, 1);
  assert.equal(frames[0]!.length, size);
  assert.ok(scanned < 3 * stream.length, `${scanned} characters were scanned`);
});
