// The arguments of a WebSocket, checked and converted as the WebSockets standard and Web IDL say. Pure.
import { utf8Length } from "./codec.ts";

/** A message as a page sends it. */
export type Sent = string | Blob | Uint8Array;

export function refuse(name: string, message: string): never {
  throw new DOMException(message, name);
}

/** Returns the address of a WebSocket, or undefined if `url` is not one. `base`: of a relative URL. */
export function readUrl(url: unknown, base: string | undefined): URL | undefined {
  const text = `${url as string}`;
  try {
    const address = new URL(text, base);
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
  const names = Array.from(isList ? (protocols as Iterable<string>) : [protocols as string], (name) => `${name}`);
  names.forEach((name, index) => {
    if (!/^[!#$%&'*+.^`|~\w-]+$/.test(name)) refuse("SyntaxError", `the subprotocol "${name}" is invalid`);
    if (names.indexOf(name) < index) refuse("SyntaxError", `the subprotocol "${name}" is duplicated`);
  });
  return names;
}

/** Returns `text` with U+FFFD for each lone surrogate. With the flag `u` a pair is one character. */
const wellFormed = (text: string): string => text.replace(/[\ud800-\udfff]/gu, "\ufffd");

/** Returns the nearest integer, of two the even one. */
const roundToEven = (value: number): number => (value % 2 === 0.5 ? value - 0.5 : Math.round(value));

/** Returns the code and the reason to close with; `code` is undefined if none was given. */
export function readClose(code: unknown, reason: unknown): { code: number | undefined; reason: string } {
  const clamped = code === undefined ? code : roundToEven(Math.min(Math.max(+(code as number) || 0, 0), 65535));
  const text = reason === undefined ? "" : wellFormed(`${reason as string}`);
  if (clamped !== undefined && clamped !== 1000 && !(clamped >= 3000 && clamped <= 4999))
    refuse("InvalidAccessError", `the close code must be 1000, or from 3000 to 4999, not ${clamped}`);
  if (utf8Length(text) > 123) refuse("SyntaxError", "the close reason has more than 123 bytes in UTF-8");
  return { code: clamped, reason: text };
}

/** Returns what `send` is called with: bytes as they are now, a Blob, or text. Objects may be of another realm. */
export function readMessage(value: unknown): Sent {
  const isView = ArrayBuffer.isView(value);
  const kind = kindOf(isView ? value.buffer : value);
  // Copies, as the page may reuse its buffer.
  if (kind === "ArrayBuffer")
    return isView
      ? new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength).slice()
      : new Uint8Array(value as ArrayBuffer).slice();
  if (isView) throw new TypeError("a view of a SharedArrayBuffer cannot be sent");
  return /^(Blob|File)$/.test(kind) ? (value as Blob) : wellFormed(`${value as string}`);
}

const kindOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/** Returns the bytes of a message. */
export const sizeOf = (message: Sent): number =>
  typeof message === "string" ? utf8Length(message) : "size" in message ? message.size : message.byteLength;
