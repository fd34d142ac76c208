// Encodes a value of the application as JSON (DAT-3). Pure.
//
// The text is the one that `JSON.stringify` makes: `toJSON` is called, and properties that are undefined, functions or
// symbols are left out. It is written in one pass, which refuses everything that `JSON.stringify` would replace by
// `null` or `{}`, and what the other side could not read.
import { ChannelError } from "./errors.ts";

/** With the flag `u` a surrogate pair is one character: only lone surrogates match. */
export const LONE_SURROGATE = /[\ud800-\udfff]/u;

type Convertible = { toJSON?: unknown } | null | undefined;

/**
 * Returns the class of the platform that an object is of, in whichever realm it was made: `Map`, `Uint8Array`. Plain
 * objects and those of the application's classes have none, whatever their tag says.
 */
export function platformClass(value: unknown): string | undefined {
  const next = (one: unknown): object | null => Object.getPrototypeOf(one) as object | null;
  // The last one is of all objects.
  for (let one = Object(value) === value && next(value); one && next(one); one = next(one)) {
    if (!Object.hasOwn(one, "constructor")) continue;
    const { constructor } = one;
    // Of a generator it is an object.
    if (typeof constructor !== "function") return Object.prototype.toString.call(value).slice(8, -1);
    if (/\[native code]/.test(Function.prototype.toString.call(constructor))) return constructor.name;
  }
  return undefined;
}

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
    const where = name + keys.join("");
    throw new ChannelError("invalid_message", `cannot send: ${where} is ${what}. Convert it first, or leave it out.`);
  };

  /** Returns undefined for what an object may leave out. */
  const write = (value: unknown, isProperty: boolean): string | undefined => {
    if (typeof value !== "string" && typeof (value as Convertible)?.toJSON === "function")
      value = (value as { toJSON: (key: string) => unknown }).toJSON(String(path.at(-1) ?? ""));
    const name = platformClass(value);
    if (/^(Number|String|Boolean|BigInt)$/.test(name!))
      value = (globalThis as unknown as { [name: string]: ObjectConstructor })[name!]!.prototype.valueOf.call(value);
    if (typeof value === "object" && value) return writeObject(value, name);
    if (typeof value === "bigint") refuse("a bigint");
    if (typeof value === "string" && LONE_SURROGATE.test(value)) refuse("text with a lone surrogate");
    if (typeof value === "number" && !(Math.abs(value) < 2 ** 53))
      refuse(Number.isFinite(value) ? "an integer beyond 2^53 - 1" : String(value));
    // Undefined for functions and symbols too.
    const text = JSON.stringify(value) as string | undefined;
    return text ?? (isProperty ? text : refuse(typeof value));
  };

  const writeObject = (value: object, name: string | undefined): string => {
    // Every cycle ends here.
    if (path.length >= depth) refuse(`nested more than ${depth} deep, or contains itself`);
    const isArray = Array.isArray(value);
    // JSON would make `{}` of a Map, a Set, a Promise or an Error, and an object with numbers as keys of bytes.
    if (!isArray && name) refuse("of type " + name);
    const texts: string[] = [];
    // The keys of an array include its holes.
    for (const key of isArray ? Array.prototype.keys.call(value) : Object.keys(value)) {
      path.push(key);
      const text = write((value as { [key: string | number]: unknown })[key], !isArray);
      if (text !== undefined) texts.push(isArray ? text : write(key, false) + ":" + text);
      path.pop();
    }
    return isArray ? `[${texts.join()}]` : `{${texts.join()}}`;
  };

  return write(root, false)!;
}
