// Which transport to try next. Pure.

export type TransportName = "websocket" | "sse" | "longpoll";

/** From best to most modest. */
export const TRANSPORTS: readonly TransportName[] = ["websocket", "sse", "longpoll"];

/** What was learnt: the transport that worked last, and since when it did. It goes stale. */
export interface Learnt {
  readonly _name: TransportName;
  readonly _since: number;
}

/**
 * The next transport of `allowed` (in its order) that this round has not tried, what worked last first:
 * unless that was learnt more than `fresh` seconds ago, when the better ones get another chance.
 * Undefined: all failed. That is an outage, no verdict against any: wait, then start a new round.
 */
export function choose(
  allowed: readonly TransportName[],
  tried: readonly TransportName[],
  learnt: Learnt | undefined,
  now: number,
  fresh: number,
): TransportName | undefined {
  const left = allowed.filter((name) => !tried.includes(name));
  return left.find((name) => name === learnt?._name && now < learnt._since + fresh) ?? left[0];
}
