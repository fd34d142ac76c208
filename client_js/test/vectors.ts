// Reads and compares the vectors of tests/vectors (see its README.md).
import { readFileSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";

/** The tests run in client_js (test.mjs). */
const FOLDER = resolve(process.cwd(), "../tests/vectors");

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface Step {
  readonly [key: string]: Json;
  readonly expect: { readonly [key: string]: Json };
}

export interface Vector {
  readonly id: string;
  readonly role: "client" | "server" | "both";
  readonly clauses: readonly string[];
  readonly kind: "decode" | "encode" | "session";
  readonly input?: string;
  readonly input_hex?: string;
  readonly frame?: Json;
  readonly error?: string;
  readonly output?: string;
  readonly output_hex?: string;
  readonly carrier?: string;
  readonly target?: string[];
  readonly steps?: readonly Step[];
}

export interface VectorFile {
  readonly name: string;
  readonly vectors: readonly Vector[];
}

export function readVectors(): VectorFile[] {
  return readdirSync(FOLDER)
    .filter((name) => name.endsWith(".json") && name !== "schema.json")
    .sort()
    .map((name) => ({ name, ...(JSON.parse(readFileSync(join(FOLDER, name), "utf8")) as { vectors: Vector[] }) }));
}

export type Names = Map<string, Json>;

/** Replaces `$name` by what it is bound to. */
export function resolveNames(value: Json, names: Names): Json {
  if (typeof value === "string" && /^\$\w+$/.test(value)) return names.get(value) ?? value;
  if (Array.isArray(value)) return value.map((item: Json) => resolveNames(item, names));
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveNames(item as Json, names)]));
  return value;
}

/** Returns `expected` with `$any` replaced by the actual value, and new names bound to it. */
export function bindNames(expected: Json, actual: Json, names: Names): Json {
  if (expected === "$any") return actual;
  if (typeof expected === "string" && /^\$[a-z]\w*$/.test(expected)) {
    if (!names.has(expected)) names.set(expected, actual);
    return names.get(expected)!;
  }
  if (Array.isArray(expected) && Array.isArray(actual))
    return expected.map((item: Json, index) =>
      index < actual.length ? bindNames(item, actual[index] as Json, names) : item,
    );
  if (expected && actual && typeof expected === "object" && typeof actual === "object" && !Array.isArray(expected))
    return Object.fromEntries(
      Object.entries(expected).map(([key, item]) => [
        key,
        key in actual ? bindNames(item as Json, (actual as { [key: string]: Json })[key]!, names) : (item as Json),
      ]),
    );
  return expected;
}
