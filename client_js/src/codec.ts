// Frames to and from their text and bytes (FRM-1 to FRM-4, DAT-1 to DAT-4). Pure.
import { ChannelError, ProtocolError } from "./errors.ts";
import { FIELDS } from "./frames.ts";
import type { BytesFrame, Frame, Loss } from "./frames.ts";

/** A frame as a connection carries it: text, or a binary WebSocket message. */
export type Wire = string | Uint8Array;

/** A message as it is kept: checked and written once, when it is sent, since its object may change. */
export interface Encoded {
  /** Its JSON, or itself where it is bytes. */
  readonly _body: Wire;
  /** Bytes of its JSON in UTF-8, or of itself (DAT-4). */
  readonly _size: number;
}

const bad = (code: string): ProtocolError =>
  new ProtocolError(code, `${code}: not a frame of this protocol; is something else answering at this URL?`);

const refuse = (what: string): never => {
  throw new ChannelError("invalid_message", `cannot send ${what}: JSON would lose or change it`);
};

/** Refuses what JSON does not carry faithfully (DAT-3); a cycle shows as endless depth. */
function check(value: unknown, depth: number): void {
  switch (typeof value) {
    case "boolean":
      return;
    case "number":
      if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) refuse(`${value}`);
      return;
    case "string":
      // With `u`, a pair of surrogates is one character: only lone ones match.
      if (/[\ud800-\udfff]/u.test(value)) refuse("half a surrogate pair");
      return;
    case "object": {
      if (value === null) return;
      if (!depth) refuse("a value this deep, or a cycle");
      if (Array.isArray(value)) {
        // By index: forEach would pass over the holes of a sparse array.
        for (let index = 0; index < value.length; index++) check(value[index], depth - 1);
        return;
      }
      // A plain object of any realm: its prototype is the end of the chain.
      const parent: unknown = Object.getPrototypeOf(value);
      if (parent && Object.getPrototypeOf(parent)) refuse("a " + (value as object).constructor?.name);
      if (Object.getOwnPropertySymbols(value).length) refuse("a symbol");
      for (const [key, item] of Object.entries(value)) {
        check(key, 0);
        check(item, depth - 1);
      }
      return;
    }
    default:
      refuse("a value of type " + typeof value);
  }
}

/** Bytes of a text in UTF-8. */
export const sizeOf = (text: string): number => new TextEncoder().encode(text).length;

/**
 * Checks and writes one message of the application.
 *
 * Raises `ChannelError` `invalid_message` (DAT-3), or `too_large` for one above `limit` bytes (DAT-4).
 */
export function encodeMessage(message: unknown, limit: number, depth: number): Encoded {
  let body: Wire;
  if (message instanceof ArrayBuffer) body = new Uint8Array(message.slice(0));
  // Copied: the application may go on writing into it.
  else if (message instanceof Uint8Array) body = new Uint8Array(message);
  else {
    check(message, depth);
    body = JSON.stringify(message);
  }
  const size = typeof body === "string" ? sizeOf(body) : body.length;
  if (size > limit) throw new ChannelError("too_large", `message of ${size} bytes is above the server's limit of ${limit}`);
  return { _body: body, _size: size };
}

export const encodeData = (seq: number, ack: number, texts: readonly string[]): string =>
  `[${seq},${ack},${texts.join(",")}]`;

/** Bytes for a WebSocket: number and mark in 8 bytes each, big-endian, then the bytes (DAT-2). */
export function encodeBinary(number: number, ack: number, data: Uint8Array): Uint8Array {
  const wire = new Uint8Array(16 + data.length);
  const view = new DataView(wire.buffer);
  view.setBigUint64(0, BigInt(number));
  view.setBigUint64(8, BigInt(ack));
  wire.set(data, 16);
  return wire;
}

/** Bytes for every other carrier: base64 in a control frame (DAT-2). */
export function encodeBytes(number: number, ack: number, data: Uint8Array): string {
  let text = "";
  for (const byte of data) text += String.fromCharCode(byte);
  return JSON.stringify({ type: "bytes", number, ack, data: btoa(text) });
}

/** Any frame as text, without white space between its tokens (FRM-1). */
export function encode(frame: Frame): string {
  switch (frame.type) {
    case "data":
      return encodeData(frame.seq, frame.ack, frame.messages.map((message) => JSON.stringify(message)));
    case "bytes":
      return encodeBytes(frame.number, frame.ack, frame.data);
    default:
      return JSON.stringify(frame);
  }
}

/** Reads one frame; raises `ProtocolError` `bad_json`, `bad_frame` or `bad_number`. */
export function decode(wire: string | ArrayBuffer | Uint8Array): Frame {
  if (typeof wire !== "string") return decodeBinary(wire);
  let value: unknown;
  try {
    value = JSON.parse(wire);
  } catch {
    throw bad("bad_json");
  }
  // JSON allows line breaks and tabs between tokens, a frame does not (FRM-2).
  if (/[\0-\x1f]/.test(wire)) throw bad("bad_json");
  if (Array.isArray(value)) {
    if (value.length < 3) throw bad("bad_frame");
    const [seq, ack, ...messages] = value as unknown[];
    // As text too: `1.0` and `1e0` are no integers here, though JSON.parse makes them equal to 1 (FRM-3).
    if (!/^ *\[ *\d+ *, *\d+ *,/.test(wire)) throw bad("bad_number");
    return { type: "data", seq: mark(seq, 1, messages.length), ack: mark(ack, 0), messages };
  }
  if (typeof value !== "object" || !value) throw bad("bad_frame");
  const { type } = value as { type?: unknown };
  const fields = FIELDS.get(type as string);
  if (!fields) throw bad("bad_frame");
  checkFields(value, fields, wire);
  // The table has just shown that it is one.
  const frame = value as Frame;
  if (frame.type === "bytes") return { ...frame, data: decodeBase64(`${frame.data}`) };
  if (frame.type === "reset") checkLoss(frame);
  if (frame.type === "opened" && frame.reset) {
    checkFields(frame.reset, FIELDS.get("reset")!, wire);
    checkLoss(frame.reset);
  }
  return frame;
}

/** An integer from `least`, below 2^53 with the `count` numbers that start there (NUM-1, FRM-3). */
function mark(value: unknown, least: number, count = 1): number {
  if (!Number.isSafeInteger(value) || (value as number) < least || !Number.isSafeInteger((value as number) + count - 1))
    throw bad("bad_number");
  return value as number;
}

function checkFields(frame: object, fields: string, wire: string): void {
  for (const [, name, optional, kind, words] of fields.matchAll(/(\w+)(\??)(\W)(\S*)/g)) {
    const value = (frame as Record<string, unknown>)[name!];
    if (value === undefined) {
      if (optional) continue;
      throw bad("bad_frame");
    }
    if (kind === "+" || kind === "-" || (kind === "~" && value !== null)) {
      mark(value, kind === "+" ? 1 : 0);
      if (RegExp(`"${name}" *: *\\d+[.eE]`).test(wire)) throw bad("bad_number");
    } else if (
      (kind === "%" && !((value as number) >= 0 && typeof value === "number")) ||
      (kind === "$" && typeof value !== "string") ||
      (kind === "!" && typeof value !== "boolean") ||
      (kind === "{" && (typeof value !== "object" || !value || Array.isArray(value))) ||
      (kind === "[" && !Array.isArray(value)) ||
      (kind === "=" && !words!.split(",").includes(value as string))
    )
      throw bad("bad_frame");
  }
}

/** `lost` is `[first, last]`, `[]` or null (RES-2). */
function checkLoss({ lost }: Loss): void {
  if (lost === null) return;
  if (!Array.isArray(lost) || (lost.length && lost.length !== 2)) throw bad("bad_frame");
  for (const number of lost) mark(number, 1);
}

function decodeBinary(wire: ArrayBuffer | Uint8Array): BytesFrame {
  const bytes = new Uint8Array(wire);
  if (bytes.length < 16) throw bad("bad_frame");
  const view = new DataView(bytes.buffer);
  return {
    type: "bytes",
    number: mark(Number(view.getBigUint64(0)), 1),
    ack: mark(Number(view.getBigUint64(8)), 0),
    data: bytes.slice(16),
  };
}

/** Strict base64: what it decodes to must be written the same way again (RFC 4648 section 4, padded). */
function decodeBase64(data: string): Uint8Array {
  try {
    const text = atob(data);
    if (btoa(text) === data) return Uint8Array.from(text, (character) => character.charCodeAt(0));
  } catch {
    // Not base64 at all.
  }
  throw bad("bad_frame");
}
