// Encodes a value of the application as JSON (DAT-3). Pure.
//
// The text is the one that `JSON.stringify` makes: `toJSON` is called, and properties that are undefined, functions or
// symbols are left out. It is written in one pass, which refuses everything that `JSON.stringify` would replace by
// `null` or `{}`, and what the other side could not read.
import { ChannelError } from "./errors.ts";

/** With the flag `u` a surrogate pair is one character: only lone surrogates match. */
export const LONE_SURROGATE = /[\ud800-\udfff]/u;

/** Returns the type of an object, in whichever realm it was made: `Map`, `Uint8Array`. */
export const typeName = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

/**
 * Returns the JSON of `root`.
 *
 * Throws `ChannelError` with code `invalid_message` for what JSON cannot carry, and for containers nested deeper than
 * `depth`. The message has the path to the value, which begins with `name`. What `toJSON` or a getter throws is passed
 * on.
 */
export function encodeJson(root: unknown, name: string, depth: number): string {
  /** The keys that lead to the value that is being written. */
  const path: (string | number)[] = [];

  const refuse = (what: string): never => {
    const keys = path.map((key) =>
      typeof key === "number" ? `[${key}]` : /^[a-z_$][\w$]*$/i.test(key) ? "." + key : `[${JSON.stringify(key)}]`,
    );
    const where = name + keys.slice(0, 9).join("") + (keys.length > 9 ? "…" : "");
    throw new ChannelError("invalid_message", `cannot send: ${where} is ${what}. Convert it first, or leave it out.`);
  };

  const writeString = (text: string): string =>
    LONE_SURROGATE.test(text) ? refuse("text with a lone surrogate") : JSON.stringify(text);

  /** Returns undefined for what an object may leave out. */
  const write = (value: unknown, isProperty: boolean): string | undefined => {
    if (typeof value !== "string" && typeof (value as { toJSON?: unknown } | undefined | null)?.toJSON === "function")
      value = (value as { toJSON: (key: string) => unknown }).toJSON(String(path.at(-1) ?? ""));
    switch (typeof value) {
      case "string":
        return writeString(value);
      case "number":
        if (Math.abs(value) < 2 ** 53) return String(value);
        return refuse(Number.isFinite(value) ? "an integer beyond 2^53 - 1" : String(value));
      case "boolean":
        return String(value);
      case "object":
        return value ? writeObject(value) : "null";
      case "bigint":
        return refuse("a bigint");
      default:
        return isProperty ? undefined : refuse(typeof value);
    }
  };

  const writeObject = (value: object): string | undefined => {
    // Every cycle ends here.
    if (path.length >= depth) refuse(`nested more than ${depth} deep, or contains itself`);
    const texts: string[] = [];
    if (Array.isArray(value)) {
      // Not `map`, which skips holes.
      for (let index = 0; index < value.length; index++) {
        path.push(index);
        texts.push(write(value[index], false)!);
        path.pop();
      }
      return `[${texts.join()}]`;
    }
    const type = typeName(value);
    if (/^(Number|String|Boolean)$/.test(type)) return write(value.valueOf(), false);
    // JSON would make `{}` of a Map, a Set, a Promise or an Error, and an object with numbers as keys of bytes.
    if (type !== "Object") refuse("of type " + type);
    for (const key of Object.keys(value)) {
      path.push(key);
      const text = write((value as { [key: string]: unknown })[key], true);
      if (text !== undefined) texts.push(writeString(key) + ":" + text);
      path.pop();
    }
    return `{${texts.join()}}`;
  };

  return write(root, false)!;
}
