// When to acknowledge what was received (MRK-6). Pure.
//
// An ack is piggybacked on whatever else is written: data, a poll, our `close`. If nothing is written in time it is
// sent on its own, and immediately once it would free a quarter of the server's send window. On long poll every POST
// names the mark, and one without further lines is a lone ack (POL-5).
import type { LostRange, TransportName } from "./frames.ts";
import type { Link } from "./link.ts";
import type { Terms } from "./terms.ts";

/** Seconds that an ack waits to be piggybacked. */
const ACK_DELAY: { readonly [Name in TransportName]: number } = { websocket: 0, sse: 0.1, longpoll: 0.1 };
/** Minimum seconds between two standalone acks. */
const ACK_INTERVAL = 0.1;
/** The share of the window that makes an ack due immediately. */
const WINDOW_PART = 0.25;

export class AckSchedule {
  /** The mark: the highest downlink number that was received in order (MRK-1). */
  received = 0;
  /** When to send a standalone ack; infinite if no ack is pending. */
  dueAt = Infinity;
  /** The earliest time of the next standalone ack, unless the window fills up first. */
  private _notBefore = 0;
  /** The share of the window that the next ack will free. */
  private _unacked = 0;

  /** Records the next `count` messages, which came over `link` in a frame of `size` bytes. */
  record(count: number, size: number, link: Link, terms: Terms, now: number): void {
    this.received += count;
    this._unacked += count / terms.window_messages + size / terms.window_bytes;
    const delayed = Math.max(now + ACK_DELAY[link.transport], this._notBefore);
    this.dueAt = Math.min(this.dueAt, this._unacked < WINDOW_PART ? delayed : now);
  }

  /** Returns the mark to write on `link`, and clears the pending ack. */
  takeMark(link: Link): number {
    this.dueAt = Infinity;
    this._unacked = 0;
    link.acked = this.received;
    return this.received;
  }

  /** Returns whether a standalone ack is due on `link`; if so, delays the next one by `ACK_INTERVAL`. */
  takeDue(link: Link, now: number): boolean {
    const due = link.acked < this.received && now >= this.dueAt;
    if (due) this._notBefore = now + ACK_INTERVAL;
    return due;
  }

  /** Makes an ack due immediately: the request that carried the last one failed. */
  setDue(): void {
    this.dueAt = 0;
  }

  /**
   * Moves acks to `link`. An ack that was due on the previous link may be unnecessary here, and one that the previous
   * link carried may have been lost.
   */
  moveTo(link: Link): void {
    this.dueAt = link.acked < this.received ? 0 : Infinity;
  }

  /** Returns the part of `lost` that was not received: perhaps only the ack was lost (RES-4). */
  clipLostRange([first, last = 0]: LostRange): LostRange {
    const from = Math.max(first ?? 1, this.received + 1);
    return last !== null && from > last ? [] : [from, last];
  }

  /** Starts the next session. */
  reset(): void {
    this.received = 0;
    this.dueAt = Infinity;
    this._notBefore = 0;
    this._unacked = 0;
  }
}
