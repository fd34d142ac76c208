// How long a poll asks to be held, and when the next may leave (POL-3). Pure.
import type { Link } from "./link.ts";

/** Seconds after which a poll without an answer was cut by an intermediary, rather than failed. */
const CUT_AFTER = 1;
/** Factor by which the hold grows again with each poll that is answered. */
const GROWTH = 1.05;
/** Seconds between two polls that are hardly held. */
const SHORT_POLL_INTERVAL = 1;

export class PollPacing {
  /** Seconds that a poll asks to be held. Zero if this page has no slot for a held connection. */
  hold = Infinity;

  /** Lets polls be held, or not: a page without a slot must not hold one of the browser's connections. */
  allowHold(allowed: boolean): void {
    this.hold = allowed ? this.hold || Infinity : 0;
  }

  /** A poll that was held for `seconds` was answered, or failed. */
  ended(seconds: number, answered: boolean): void {
    if (answered) this.hold *= GROWTH;
    // An intermediary cuts polls of that age: shorter ones, and slowly longer ones again.
    else if (seconds > CUT_AFTER && this.hold) this.hold = seconds / 2;
  }

  /** Returns when the next poll may leave on `link`; 0 for at once. */
  nextAt(link: Link): number {
    return link.transport === "longpoll" && this.hold < 1 ? link.polledAt + SHORT_POLL_INTERVAL : 0;
  }
}
