// Which transport to begin next, and when. Pure: what has happened and `now` go in, the next step comes out.
//
// Without a carrier the transports race: each has a head start on the next. The first that answers carries the
// session; those that are better go on, and take over where they answer later. A transport that failed while
// another worked has a mark against it: it comes last, and is probed at intervals that grow. Where all fail,
// that is an outage, and no mark against any.

export type TransportName = "websocket" | "sse" | "longpoll";

/** From best to most modest. */
export const TRANSPORTS: readonly TransportName[] = ["websocket", "sse", "longpoll"];

/** What speaks against a transport: when to probe it again, and how long that was waited for. */
export interface Mark {
  readonly _until: number;
  readonly _wait: number;
}

export type Marks = { [Name in TransportName]?: Mark };

/** An attempt of this round. */
export interface Trial {
  readonly _name: TransportName;
  /** From when its head start counts. */
  readonly _from: number;
  readonly _failed: boolean;
}

export interface Situation {
  /** Which transports may be used, the best first. */
  readonly _allowed: readonly TransportName[];
  readonly _marks: Marks;
  /** What was begun in this round, in that order, the carrier left out. */
  readonly _trials: readonly Trial[];
  /** What carries the session, and when it is to be replaced by another connection of its kind. */
  readonly _carrier?: TransportName | undefined;
  readonly _rotateAt?: number | undefined;
  /** Seconds that each has before the next is begun beside it. */
  readonly _headStart: number;
}

/** What to begin now, or when to ask again; never, while that takes something else to happen. */
export interface Step {
  readonly _begin?: TransportName | undefined;
  readonly _at: number;
}

/** The next step. After one that begins something, ask again. */
export function decide(
  { _allowed: allowed, _marks: marks, _trials: trials, _carrier: carrier, _rotateAt: rotateAt = Infinity, _headStart: headStart }: Situation,
  now: number,
): Step {
  const free = (name: TransportName): boolean => !trials.some(({ _name }) => _name === name);
  const rank = carrier ? allowed.indexOf(carrier) : allowed.length;
  let next: TransportName | undefined;
  let at = Infinity;
  const offer = (name: TransportName, due: number): void => {
    if (due < at && free(name)) [next, at] = [name, due];
  };
  if (carrier) {
    offer(carrier, rotateAt);
    for (const name of allowed.slice(0, rank)) offer(name, marks[name]?._until ?? -Infinity);
  } else {
    // In order, those with a mark behind the others; at once where the last has failed.
    const last = trials.at(-1);
    const due = !last || last._failed ? -Infinity : last._from + headStart;
    for (const name of allowed) if (!marks[name]) offer(name, due);
    for (const name of allowed) offer(name, due);
  }
  return now >= at ? { _begin: next, _at: now } : { _at: at };
}

/** Seconds until the first probe of what failed; doubled by each that fails. */
const FIRST = 15;

/** The mark against what failed while another worked; probed again within `least` to `most` seconds, partly at random. */
export function blame(mark: Mark | undefined, now: number, random: number, most: number, least = FIRST): Mark {
  const wait = Math.min(most, Math.max(least, 2 * (mark?._wait ?? 0)));
  return { _until: now + wait * (0.5 + random / 2), _wait: wait };
}
