// Which transport to begin next, and when. Pure: what has happened and `now` go in, the next step comes out.
//
// Without a active the transports race: each has a head start on the next. The first that answers carries the
// session; those that are better go on, and take over where they answer later. A transport that failed while
// another worked has a mark against it: it comes last, and is probed at intervals that grow. Where all fail,
// that is an outage, and no mark against any.

import type { TransportName } from "./frames.ts";

/** From best to most modest. */
export const TRANSPORTS: readonly TransportName[] = ["websocket", "sse", "longpoll"];

/** What speaks against a transport: when to probe it again, and how long that was waited for. */
export interface Mark {
  readonly until: number;
  readonly wait: number;
}

export type Marks = { [Name in TransportName]?: Mark };

/** An attempt of this round. */
export interface Trial {
  readonly name: TransportName;
  /** From when its head start counts. */
  readonly from: number;
  readonly failed?: boolean;
}

/** What carries the session, and when it is to be replaced by another connection of its kind. */
export interface ActiveConnection {
  readonly name: TransportName;
  readonly rotateAt: number;
}

/**
 * What to begin now, of `allowed` (the best first), or when to ask again; never, while that takes something
 * else to happen. After what was begun, ask again.
 *
 * `trials`: what was begun in this round, in that order, the active left out. `headStart`: seconds that each
 * has before the next is begun beside it.
 */
export function decide(
  allowed: readonly TransportName[],
  marks: Marks,
  trials: readonly Trial[],
  active: ActiveConnection | undefined,
  headStart: number,
  now: number,
): TransportName | number {
  const free = (name: TransportName): boolean => !trials.some((trial) => trial.name === name);
  let next: TransportName;
  let at = Infinity;
  const offer = (name: TransportName, due: number): void => {
    if (due < at && free(name)) [next, at] = [name, due];
  };
  if (active) {
    offer(active.name, active.rotateAt);
    for (const name of allowed.slice(0, allowed.indexOf(active.name))) offer(name, marks[name]?.until ?? -Infinity);
  } else {
    // In order, those with a mark behind the others; at once where the last has failed.
    const last = trials.at(-1);
    const due = !last || last.failed ? -Infinity : last.from + headStart;
    for (const name of allowed) if (!marks[name]) offer(name, due);
    for (const name of allowed) offer(name, due);
  }
  return now >= at ? next! : at;
}

/** Seconds until the first probe of what failed, doubled by each that fails; and of a stream that is held up. */
const FIRST_WAIT = 15;
const MUTE_WAIT = 600;

/** The mark against what failed while another worked: it is probed again within `most` seconds, partly at random. */
export function blame(mark: Mark | undefined, mute: boolean | undefined, now: number, random: number, most: number): Mark {
  const wait = mute ? MUTE_WAIT : Math.min(most, mark ? 2 * mark.wait : FIRST_WAIT);
  return { until: now + wait * (0.5 + random / 2), wait };
}
