// What a page remembers for the next one, in a storage of the browser. That may be missing, full, forbidden,
// or hold what anybody wrote: it is a hint, and none of it may fail.
import type { Environment } from "./environment.ts";
import { TRANSPORTS } from "./fallback.ts";
import type { Marks } from "./fallback.ts";

type Where = "localStorage" | "sessionStorage";

/** What was kept under `key`; undefined where there is none. */
export function recall(env: Environment, where: Where, key: string): unknown {
  try {
    return JSON.parse(env[where]!.getItem(key)!) ?? undefined;
  } catch {
    return;
  }
}

/** Keeps `value` under `key`; forgets what is there where it is undefined. */
export function keep(env: Environment, where: Where, key: string, value: unknown): void {
  try {
    if (value === undefined) env[where]!.removeItem(key);
    else env[where]!.setItem(key, JSON.stringify(value));
  } catch {
    // Then the next page finds out by itself.
  }
}

/** Seconds for which a mark is remembered once its probe was due: a day. */
const FORGOTTEN = 86400;

/** Marks as they are kept: until when, by the wall clock, and how long that was waited for. */
type Kept = { [name: string]: [number, number] };

/** `shift`: from the monotonic clock to that of the wall, in seconds. */
export const packMarks = (marks: Marks, shift: number): Kept =>
  Object.fromEntries(Object.entries(marks).map(([name, { _until, _wait }]) => [name, [_until + shift, _wait]]));

export function unpackMarks(kept: unknown, shift: number, now: number): Marks {
  const marks: Marks = {};
  for (const name of TRANSPORTS) {
    const { 0: until = 0, 1: wait = 0 } = (kept as Partial<Kept> | undefined)?.[name] ?? [];
    // A wall clock may have been set: no probe is due later than the wait that was kept.
    if (wait > 0 && until - shift > now - FORGOTTEN) marks[name] = { _until: Math.min(until - shift, now + wait), _wait: wait };
  }
  return marks;
}
