// What a page remembers for the next one: the marks against transports, in local storage, for each origin of a
// server. A storage may be missing, full, forbidden, or hold what anybody wrote: it is a hint, and may not fail.
import type { Environment } from "./environment.ts";
import type { Marks } from "./fallback.ts";
import type { TransportName } from "./frames.ts";

/** Seconds for which a mark is remembered once its probe was due: a day. */
const EXPIRY = 86400;

/** What this origin of a server is known by, wherever the pages of a browser share something. */
export const keyOf = (url: string): string => "onechannel " + new URL(url).origin;

/** Keeps `marks`, of a monotonic clock that shows `now`, by the clock on the wall. */
export function keepMarks(env: Environment, url: string, marks: Marks, now: number): void {
  const wall = env.Date.now() / 1000;
  try {
    env.localStorage!.setItem(
      keyOf(url),
      JSON.stringify(Object.entries(marks).map(([name, { until, wait }]) => [name, until - now + wall, wait])),
    );
  } catch {
    // Then the next page finds out by itself.
  }
}

export function recallMarks(env: Environment, url: string, now: number): Marks {
  const marks: Marks = {};
  const wall = env.Date.now() / 1000;
  try {
    for (const [name, until, wait] of JSON.parse(env.localStorage!.getItem(keyOf(url))!) as [TransportName, number, number][])
      // A wall clock may have been set: no probe is due later than the wait that was kept.
      if (until > wall - EXPIRY && wait > 0) marks[name] = { until: now + Math.min(until - wall, wait), wait };
  } catch {
    // Nothing that we can read.
  }
  return marks;
}
