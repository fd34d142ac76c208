// Decides which transport to start next, and when. Pure: the history and `now` go in, the next step comes out.
//
// Without an active connection, the transports race: each has a head start on the next. The first to open carries the
// session; better ones may still open, and then take over. A transport that failed while another worked gets a
// penalty: it starts last, and is probed at growing intervals. If all of them fail, that is an outage, and no
// transport gets a penalty.
import { checkArgument } from "./errors.ts";
import type { TransportName } from "./frames.ts";

/** All transports, best first. */
export const TRANSPORTS: readonly TransportName[] = ["websocket", "sse", "longpoll"];

/** Returns `names`, each once. Throws `ChannelError` unless they are some of the transports. */
export function checkTransports(names: readonly TransportName[]): readonly TransportName[] {
  // A copy has no holes, which `every` would skip.
  const areNames = Array.isArray(names) && names.length && [...names].every((name) => TRANSPORTS.includes(name));
  checkArgument(areNames, "transports must be an array of some of " + TRANSPORTS.join(", "));
  return [...new Set(names)];
}

/** The penalty of a transport that failed while another worked. */
export interface Penalty {
  /** When to probe it again. */
  readonly probeAt: number;
  /** The interval before that probe in seconds, without jitter. */
  readonly wait: number;
}

export type Penalties = { [Name in TransportName]?: Penalty };

/** An attempt of this round. */
export interface Trial {
  readonly transport: TransportName;
  /** Start of its head start. */
  readonly racingSince: number;
  readonly failed?: boolean;
}

/** The connection that carries the session. */
export interface ActiveConnection {
  readonly transport: TransportName;
  /** When to replace it by another over the same transport. */
  readonly rotateAt: number;
  /** When to probe better transports whose last probe ended without telling anything of them. */
  readonly probeAfter: { readonly [Name in TransportName]?: number };
}

/**
 * Returns the transport to start now, or the time at which to ask again (infinite: only after another event). Call it
 * again after each start.
 *
 * `allowed`: the transports that may be used, the best first. `trials`: the attempts of this round in the order
 * in which they were begun, without the active one. `headStart`: seconds that each has on the next.
 */
export function nextAttempt(
  allowed: readonly TransportName[],
  penalties: Penalties,
  trials: readonly Trial[],
  active: ActiveConnection | undefined,
  headStart: number,
  now: number,
): TransportName | number {
  let next: TransportName | undefined;
  let due = Infinity;
  const consider = (name: TransportName, at: number): void => {
    if (at >= due || trials.some(({ transport }) => transport === name)) return;
    next = name;
    due = at;
  };
  if (active) {
    consider(active.transport, active.rotateAt);
    const better = allowed.slice(0, allowed.indexOf(active.transport));
    for (const name of better)
      consider(name, Math.max(penalties[name]?.probeAt ?? -Infinity, active.probeAfter[name] ?? -Infinity));
  } else {
    const last = trials.at(-1);
    // Immediately after a failure.
    const at = !last || last.failed ? -Infinity : last.racingSince + headStart;
    for (const name of allowed) if (!penalties[name]) consider(name, at);
    for (const name of allowed) if (penalties[name]) consider(name, at);
  }
  return next && now >= due ? next : due;
}

/** Returns whether this is an outage: every `allowed` transport was tried in this round and has failed. */
export const isOutage = (trials: readonly Trial[], allowed: readonly TransportName[]): boolean =>
  trials.every(({ failed }) => failed) && allowed.every((name) => trials.some(({ transport }) => transport === name));

/** Seconds until the first probe of a failed transport; each failed probe doubles the interval. */
export const FIRST_WAIT = 15;
/** The same for a stream that an intermediary buffers: that seldom changes. */
const MUTE_WAIT = 600;

/**
 * Returns the new penalty of a transport that failed while another worked.
 *
 * `previous`: its penalty until now. It is probed again after half to all of the wait, which is at most `maximum`
 * seconds.
 */
export function penalize(
  previous: Penalty | undefined,
  isMute: boolean | undefined,
  now: number,
  random: number,
  maximum: number,
): Penalty {
  const wait = Math.min(maximum, isMute ? MUTE_WAIT : previous ? 2 * previous.wait : FIRST_WAIT);
  return { probeAt: now + wait * (0.5 + random / 2), wait };
}
