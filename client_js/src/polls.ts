// How long a poll asks to be held, and when the next may be sent (POL-3). Pure.
import type { Link } from "./link.ts";

/** A poll without an answer that is older, in seconds, was cut by an intermediary rather than failed. */
const CUT_AFTER = 1;
/** Seconds. A shorter one would be a poll in every moment, and grow only while nothing is sent. */
const SHORTEST_HOLD = 1;
/** Factor by which the hold grows with each poll that was held as long as it asked. */
const GROWTH = 1.05;
/** The share of its hold after which a poll counts as held: the server may shorten it by a tenth. */
const HELD_SHARE = 0.8;
/** Seconds between two polls that are not held. */
const SHORT_POLL_INTERVAL = 1;

export class PollPacing {
  /** Seconds that a poll asks to be held. Zero if this page has no slot for a held connection. */
  hold = Infinity;

  /** Allows or forbids held polls: a page without a slot must not hold one of the browser's connections. */
  allowHold(allowed: boolean): void {
    this.hold = allowed ? this.hold || Infinity : 0;
  }

  /** Records that a poll was answered, or failed, after `seconds`. */
  ended(seconds: number, answered: boolean): void {
    if (!answered) {
      // An intermediary cuts polls at this age: ask for half of it, and let it grow back slowly.
      if (seconds > CUT_AFTER && this.hold) this.hold = Math.max(SHORTEST_HOLD, seconds / 2);
      // A poll that is answered early, because data came, shows nothing about longer holds.
    } else if (seconds >= HELD_SHARE * this.hold) this.hold *= GROWTH;
  }

  /** Returns when the next poll may be sent on `link`; 0 for immediately. */
  nextAt(link: Link): number {
    return link.transport === "longpoll" && !this.hold ? link.polledAt + SHORT_POLL_INTERVAL : 0;
  }
}
