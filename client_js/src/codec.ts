// Frames to and from their text and bytes (FRM-1 to FRM-4, DAT-1 to DAT-4). Pure.
import { ChannelError } from "./errors.ts";
import type { BytesFrame, ControlFrame, DataFrame, Frame, Limits } from "./frames.ts";

/** A frame as a connection carries it: text, or a binary WebSocket message. */
export type EncodedFrame = string | Uint8Array;

/** A message as it is kept: checked and written once, when it is sent, since its object may change. */
export interface Encoded {
  /** Its JSON, or itself where it is bytes. */
  readonly body: EncodedFrame;
  /** Bytes of its JSON in UTF-8, or of itself (DAT-4). */
  readonly size: number;
}

/** Whether JSON carries it unchanged (DAT-3). A cycle shows as endless depth. */
function isFaithful(value: unknown, depth: number): boolean {
  if (value === null || typeof value === "boolean") return true;
  // What is larger has no fraction; NaN is not less.
  if (typeof value === "number") return Math.abs(value) < 2 ** 53;
  // With `u`, a pair of surrogates is one character: only lone ones match.
  if (typeof value === "string") return !/[\ud800-\udfff]/u.test(value);
  if (typeof value !== "object" || !depth) return false;
  // Array.from makes a hole undefined, which is refused.
  if (Array.isArray(value)) return Array.from(value).every((item) => isFaithful(item, depth - 1));
  // A plain object, of any realm: its prototype is the end of the chain.
  const parent: unknown = Object.getPrototypeOf(value);
  return (
    (!parent || !Object.getPrototypeOf(parent)) &&
    Reflect.ownKeys(value).every(
      // A symbol is not.
      (key) => isFaithful(key, 0) && isFaithful((value as Record<PropertyKey, unknown>)[key], depth - 1),
    )
  );
}

/** Bytes of a text in UTF-8. */
export const sizeOf = (text: string): number => new TextEncoder().encode(text).length;

/**
 * Checks and writes one message of the application.
 *
 * Raises `ChannelError` `invalid_message` (DAT-3), or `too_large` for one above `limits.message` (DAT-4).
 */
export function encodeMessage(message: unknown, { message: limit, depth }: Pick<Limits, "message" | "depth">): Encoded {
  let body: EncodedFrame;
  if (message instanceof ArrayBuffer || message instanceof Uint8Array) {
    // Copied: the application may go on writing into it.
    body = new Uint8Array(message).slice();
  } else {
    if (!isFaithful(message, depth))
      throw new ChannelError("invalid_message", "send bytes, or what JSON keeps as it is");
    body = JSON.stringify(message);
  }
  const size = typeof body === "string" ? sizeOf(body) : body.length;
  if (size > limit) throw new ChannelError("too_large", size + " bytes, above the limit of " + limit);
  return { body, size };
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
  encodeControl({ type: "bytes", number, ack, data: toBase64(data) });

// Byte by byte: a call has no room for a quarter of a million arguments.
export const toBase64 = (data: Uint8Array): string => btoa(data.reduce((text, byte) => text + String.fromCharCode(byte), ""));

export const fromBase64 = (text: string): Uint8Array => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** A control frame as text, without white space between its tokens (FRM-1). */
export const encodeControl: (frame: ControlFrame | BytesFrame) => string = JSON.stringify;

/**
 * What is refused by its text alone: control characters, which JSON allows between tokens (FRM-2), data that
 * does not begin with two integers, what is neither data nor control, and in a control frame a number or mark
 * that is none: `"7"`, `7.0`, `true`, or 2^53. Only a key ends in an unescaped quote and a colon.
 */
const REFUSED =
  /[\0-\x1f]|^(?!\[\d+,\d+,|{)|^{[^]*"(ack|number|received|handled|in_hand|expected|attach|last)" *:(?! *(null|\d{1,15}) *[,}])/;

/**
 * Reads one frame of a server; raises whatever comes for one that is malformed. Control frames are taken on
 * trust, but for what numbers or settles something (FRM-3).
 */
export function decode(wire: string | ArrayBuffer): Frame {
  if (typeof wire !== "string") {
    const view = new DataView(wire);
    return readData(Number(view.getBigUint64(0)), Number(view.getBigUint64(8)), [new Uint8Array(wire, 16)]);
  }
  if (REFUSED.test(wire)) throw badFrame();
  const value = JSON.parse(wire) as [number, number, ...unknown[]] | ControlFrame | BytesFrame;
  if (Array.isArray(value)) {
    const [seq, ack, ...messages] = value;
    return readData(seq, ack, messages);
  }
  if (value.type !== "bytes") return value;
  return readData(value.number, value.ack, [fromBase64(value.data)]);
}

/** Numbers count from 1, and stay below 2^53 (NUM-1). */
function readData(seq: number, ack: number, messages: readonly unknown[]): DataFrame {
  if (!seq || !(Math.max(seq + messages.length - 1, ack) < 2 ** 53)) throw badFrame();
  return { type: "data", ack, seq, messages };
}

export const badFrame = (): Error => new SyntaxError("bad frame");
