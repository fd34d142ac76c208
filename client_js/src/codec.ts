// Encodes and decodes frames as text and bytes (FRM-1 to FRM-4, DAT-1 to DAT-4). Pure.
import { ChannelError } from "./errors.ts";
import type { BytesFrame, ClientFrame, DataFrame, Frame, Limits, ServerFrame } from "./frames.ts";
import { encodeJson, platformClass } from "./json.ts";

/** A frame as a connection carries it: text, or a binary WebSocket message. */
export type EncodedFrame = string | Uint8Array;

/** An encoded message. `send()` validates and encodes, because the application may change the object later. */
export interface EncodedMessage {
  /** Its JSON, or the message itself if it is bytes. */
  readonly body: EncodedFrame;
  /** Bytes of its JSON in UTF-8, or of itself (DAT-4). */
  readonly size: number;
}

/** Returns the number of bytes of `text` in UTF-8. */
export const utf8Length = (text: string): number => new TextEncoder().encode(text).length;

/**
 * Checks and encodes one message of the application.
 *
 * Throws `ChannelError` with code `invalid_message` if JSON cannot carry it (DAT-3), or `too_large` if it exceeds
 * `limits.message` (DAT-4).
 */
export function encodeMessage(
  message: unknown,
  { message: limit, depth }: Pick<Limits, "message" | "depth">,
): EncodedMessage {
  let body: EncodedFrame;
  if (/^(ArrayBuffer|Uint8Array)$/.test(platformClass(message)!)) {
    // A copy, as the application may reuse its buffer.
    body = new Uint8Array(message as ArrayBuffer | Uint8Array).slice();
  } else {
    body = encodeJson(message, "message", depth);
  }
  const size = typeof body === "string" ? utf8Length(body) : body.length;
  if (size > limit)
    throw new ChannelError("too_large", `cannot send: ${size} bytes, above the server's limit of ${limit}. Split it.`);
  return { body, size };
}

export const encodeData = (seq: number, ack: number, texts: readonly string[]): string => `[${seq},${ack},${texts.join()}]`;

/** Encodes bytes for a WebSocket: number and mark in 8 bytes each, big-endian, then the bytes (DAT-2). */
export function encodeBinary(number: number, ack: number, data: Uint8Array): Uint8Array {
  const frame = new Uint8Array(16 + data.length);
  const view = new DataView(frame.buffer);
  view.setBigUint64(0, BigInt(number));
  view.setBigUint64(8, BigInt(ack));
  frame.set(data, 16);
  return frame;
}

/** Encodes bytes for HTTP: base64 in a control frame (DAT-2). */
export const encodeBytes = (number: number, ack: number, data: Uint8Array): string =>
  encodeControl({ type: "bytes", number, ack, data: toBase64(data) });

// Byte by byte: `String.fromCharCode(...data)` would exceed the engine's argument limit.
export const toBase64 = (data: Uint8Array): string =>
  btoa(data.reduce((text, byte) => text + String.fromCharCode(byte), ""));

export const fromBase64 = (text: string): Uint8Array =>
  Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** Encodes a control frame, without white space between its tokens (FRM-1). */
export const encodeControl: (frame: ClientFrame) => string = JSON.stringify;

/** Control characters, which JSON allows between tokens (FRM-2). */
const CONTROL_CHARACTER = /[\0-\x1f]/;
/** The beginning of data, with its number and mark; or of a control frame. */
const BEGINNING = /^(\[\d+,\d+,|{)/;
/** The message of a numbered frame of an unknown type, which delivers none (FRM-5): no value of JSON. */
export const NOTHING = undefined;

/** The types of a server's control frames: any other one is unknown. */
const KNOWN = /^(opened|ack|bytes|ping|pong|reset|error|drain|renew|close)$/;
/** The number and the mark of a numbered frame, as integers. */
const NUMBER = /"number" *: *\d+ *[,}]/;
const MARK = /"ack" *: *\d+ *[,}]/;
/**
 * A numeric field of a control frame whose value is not an integer: `"7"`, `7.0`, `true`, or one of more than 15
 * digits, which no count reaches although the protocol goes to 2^53 - 1. Only a key ends in an unescaped quote and a
 * colon.
 */
const BAD_NUMBER = /^{[^]*"(ack|number|received|handled|in_hand|expected|attach|last)" *:(?! *(null|\d{1,15}) *[,}])/;

/** Text, and numbers. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[-\d][-+.\de]*/gi;
/** Returns whether JSON holds an integer that was rounded by whoever parsed it (DAT-3). */
const hasLargeInteger = (json: string): boolean =>
  /\d{16}/.test(json) &&
  json.match(TOKEN)!.some((token) => /^-?\d+$/.test(token) && !Number.isSafeInteger(+token));

/**
 * Decodes one frame from the server. Throws an `Error` if it is malformed.
 *
 * The fields of control frames are trusted, except for those that number or settle something (FRM-3).
 */
export function decode(encoded: string | ArrayBuffer): Frame {
  if (typeof encoded !== "string") {
    const view = new DataView(encoded);
    return readData(Number(view.getBigUint64(0)), Number(view.getBigUint64(8)), [new Uint8Array(encoded, 16)]);
  }
  if (CONTROL_CHARACTER.test(encoded) || !BEGINNING.test(encoded)) throw badFrame();
  const value = JSON.parse(encoded) as [number, number, ...unknown[]] | ServerFrame | BytesFrame;
  if (Array.isArray(value)) {
    const [seq, ack, ...messages] = value;
    if (hasLargeInteger(encoded)) throw badFrame();
    return readData(seq, ack, messages);
  }
  const { type, number, ack } = value as BytesFrame;
  if (!KNOWN.test(type) && typeof type === "string" && number !== undefined && ack !== undefined) {
    const isNumbered = NUMBER.test(encoded) && MARK.test(encoded) && [number, ack].every(Number.isInteger);
    if (!isNumbered) throw badFrame();
    return readData(number, ack, [NOTHING]);
  }
  if (BAD_NUMBER.test(encoded)) throw badFrame();
  if (value.type !== "bytes") return value;
  return readData(number, ack, [fromBase64(value.data)]);
}

/** Checks that numbers count from 1 and stay below 2^53 (NUM-1). */
function readData(seq: number, ack: number, messages: readonly unknown[]): DataFrame {
  if (!seq || !(Math.max(seq + messages.length - 1, ack) < 2 ** 53)) throw badFrame();
  return { type: "data", ack, seq, messages };
}

export const badFrame = (): Error => new SyntaxError("bad frame");
