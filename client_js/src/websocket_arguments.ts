// The arguments of a WebSocket, checked and converted as the WebSockets standard and Web IDL say. Pure.
import { utf8Length } from "./codec.ts";

/** A message as a page sends it. */
export type Sent = string | Blob | ArrayBuffer | Uint8Array;

export function refuse(name: string, message: string): never {
  throw new DOMException(message, name);
}

/** Returns the address of a WebSocket, or undefined if `url` is not one. `base`: of a relative URL. */
export function readUrl(url: unknown, base: string | undefined): URL | undefined {
  try {
    const address = new URL(String(url), base);
    // As `new URL` writes them, without the default port of the scheme that was given.
    const found = new URL(address.href.replace(/^http/, "ws"));
    if (/^wss?:[^#]*$/.test(found.href)) return found;
  } catch {
    // Refused by the caller.
  }
  return undefined;
}

/** Returns the subprotocols that are offered. Throws a SyntaxError unless they are different tokens. */
export function readProtocols(protocols: unknown): string[] {
  const isList = typeof protocols === "object" && protocols && Symbol.iterator in protocols;
  const names = isList ? Array.from(protocols as Iterable<unknown>, String) : [String(protocols)];
  names.forEach((name, index) => {
    if (!/^[!#$%&'*+.^`|~\w-]+$/.test(name)) refuse("SyntaxError", `the subprotocol "${name}" is invalid`);
    if (names.indexOf(name) < index) refuse("SyntaxError", `the subprotocol "${name}" is duplicated`);
  });
  return names;
}

/** Returns `text` with U+FFFD for each lone surrogate. With the flag `u` a pair is one character. */
const wellFormed = (text: string): string => text.replace(/[\ud800-\udfff]/gu, "\ufffd");

/** Returns the code and the reason to close with; `code` is undefined if none was given. */
export function readClose(code: unknown, reason: unknown): { code: number | undefined; reason: string } {
  // Rounded to the even one of two integers that are equally near, which no valid code can be: `round` will do.
  const clamped = code === undefined ? code : Math.round(Math.min(Math.max(Number(code) || 0, 0), 65535));
  const text = reason === undefined ? "" : wellFormed(String(reason));
  if (clamped !== undefined && clamped !== 1000 && !(clamped >= 3000 && clamped <= 4999))
    refuse("InvalidAccessError", `the close code must be 1000, or from 3000 to 4999, not ${clamped}`);
  if (utf8Length(text) > 123) refuse("SyntaxError", "the close reason has more than 123 bytes in UTF-8");
  return { code: clamped, reason: text };
}

/** Returns what `send` is called with: bytes as they are now, a Blob, or text. */
export function readMessage(value: unknown): Sent {
  if (value instanceof Blob) return value;
  const isView = ArrayBuffer.isView(value);
  const buffer: unknown = isView ? value.buffer : value;
  if (!isShared(buffer)) {
    // A copy, as the page may reuse its buffer.
    if (isView) return new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength).slice();
    if (Object.prototype.toString.call(value) === "[object ArrayBuffer]") return (value as ArrayBuffer).slice(0);
  } else if (isView) throw new TypeError("a view of a SharedArrayBuffer cannot be sent");
  return wellFormed(`${value as string}`);
}

const isShared = (buffer: unknown): boolean =>
  typeof SharedArrayBuffer !== "undefined" && buffer instanceof SharedArrayBuffer;

/** Returns the bytes of a message. */
export const sizeOf = (message: Sent): number =>
  typeof message === "string" ? utf8Length(message) : message instanceof Blob ? message.size : message.byteLength;
