// Frames to and from their text and bytes (FRM-1 to FRM-4, DAT-1 to DAT-4). Pure.
import { ChannelError, ProtocolError } from "./errors.ts";
import { FIELDS } from "./frames.ts";
import type { BytesFrame, DataFrame, Frame } from "./frames.ts";

/** A frame as a connection carries it: text, or a binary WebSocket message. */
export type Wire = string | Uint8Array;

/** A message as it is kept: checked and written once, when it is sent, since its object may change. */
export interface Encoded {
  /** Its JSON, or itself where it is bytes. */
  readonly _body: Wire;
  /** Bytes of its JSON in UTF-8, or of itself (DAT-4). */
  readonly _size: number;
}

const bad = (code: string): ProtocolError => new ProtocolError(code, "the server's frame is " + code);

/** Whether JSON carries it unchanged (DAT-3). A cycle shows as endless depth. */
function isFaithful(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "boolean":
      return true;
    case "number":
      // A fraction; NaN and the infinities leave NaN.
      return !!(value % 1) || Number.isSafeInteger(value);
    case "string":
      // With `u`, a pair of surrogates is one character: only lone ones match.
      return !/[\ud800-\udfff]/u.test(value);
    case "object": {
      if (!value) return true;
      if (!depth) return false;
      // Array.from makes a hole undefined, which is refused.
      if (Array.isArray(value)) return Array.from(value).every((item) => isFaithful(item, depth - 1));
      // A plain object, of any realm: its prototype is the end of the chain.
      const parent: unknown = Object.getPrototypeOf(value);
      return (
        (!parent || !Object.getPrototypeOf(parent)) &&
        Reflect.ownKeys(value).every(
          (key) => typeof key === "string" && isFaithful(key, 0) && isFaithful((value as Record<string, unknown>)[key], depth - 1),
        )
      );
    }
    default:
      return false;
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
  if (message instanceof ArrayBuffer || message instanceof Uint8Array) {
    // Copied: the application may go on writing into it.
    body = new Uint8Array(message).slice();
  } else {
    if (!isFaithful(message, depth))
      throw new ChannelError("invalid_message", "send bytes, or what JSON carries unchanged");
    body = JSON.stringify(message);
  }
  const size = typeof body === "string" ? sizeOf(body) : body.length;
  if (size > limit) throw new ChannelError("too_large", `${size} bytes are above the limit of ${limit}`);
  return { _body: body, _size: size };
}

export const encodeData = (seq: number, ack: number, texts: readonly string[]): string => `[${seq},${ack},${texts}]`;

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
export const encodeBytes = (number: number, ack: number, data: Uint8Array): string =>
  // Byte by byte: a call has no room for a quarter of a million arguments.
  JSON.stringify({ type: "bytes", number, ack, data: btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join("")) });

/** A control frame as text, without white space between its tokens (FRM-1). */
export const encodeControl = (frame: Exclude<Frame, DataFrame | BytesFrame>): string => JSON.stringify(frame);

/** Any frame as text. */
export function encode(frame: Frame): string {
  switch (frame.type) {
    case "data":
      return encodeData(frame.seq, frame.ack, frame.messages.map((message) => JSON.stringify(message)));
    case "bytes":
      return encodeBytes(frame.number, frame.ack, frame.data);
    default:
      return encodeControl(frame);
  }
}

/** Reads one frame of a server; raises `ProtocolError` `bad_json`, `bad_frame` or `bad_number`. */
export function decode(wire: string | ArrayBuffer | Uint8Array): Frame {
  if (typeof wire !== "string") return decodeBinary(wire);
  let value: unknown;
  try {
    // JSON allows line breaks and tabs between tokens, a frame does not (FRM-2).
    if (!/[\0-\x1f]/.test(wire)) value = JSON.parse(wire);
  } catch {
    // As undefined as the others.
  }
  if (value === undefined) throw bad("bad_json");
  if (Array.isArray(value)) {
    const [seq, ack, ...messages] = value as unknown[];
    if (!messages.length) throw bad("bad_frame");
    // As text too: `1.0` and `1e0` are no integers here, though JSON.parse makes them equal to 1 (FRM-3).
    if (!/^ *\[ *\d+ *, *\d+ *,/.test(wire)) throw bad("bad_number");
    mark((seq as number) + messages.length - 1, 1);
    return { type: "data", seq: mark(seq, 1), ack: mark(ack, 0), messages };
  }
  const frame = value as Frame | null;
  checkFields(frame, frame?.type, wire);
  if (frame!.type === "bytes") return { ...frame!, data: decodeBase64(`${frame!.data}`) };
  if (frame!.type === "opened" && frame!.reset) checkFields(frame!.reset, "reset", wire);
  return frame!;
}

/** An integer from `least`, below 2^53 (NUM-1, FRM-3). */
function mark(value: unknown, least: number): number {
  if (!Number.isSafeInteger(value) || (value as number) < least) throw bad("bad_number");
  return value as number;
}

function checkFields(frame: unknown, type: unknown, wire: string): void {
  const fields = FIELDS.get(type);
  if (!fields) throw bad("bad_frame");
  for (const [, name, flag, kind, words] of fields.matchAll(/(\w+)(\W?):(.)=?(\S*)/g)) {
    const value = (frame as Record<string, unknown>)[name!];
    if (flag && value === (flag === "?" ? undefined : null)) continue;
    if (kind! < "2" && value !== undefined) {
      mark(value, +kind!);
      if (RegExp(`"${name}" *: *\\d+[.eE]`).test(wire)) throw bad("bad_number");
    } else if (
      (Array.isArray(value) ? "a" : value === null || (typeof value)[0]) !== kind ||
      (words && !words.split(",").includes(value as string))
    )
      throw bad("bad_frame");
  }
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
