// What was received, and when an ack of it leaves (MRK-6). Pure.
//
// An ack is free with anything else that is written: data, a poll, our `close`. It leaves alone if
// nothing takes it along in time, and at once if it frees a quarter of the server's send window.
import type { TransportName } from "./frames.ts";
import type { Link } from "./link.ts";
import type { Terms } from "./terms.ts";

/** Seconds that an ack waits for something to take it along. A poll always does, and soon. */
const ACK_DELAY: { readonly [Name in TransportName]: number } = { websocket: 0, sse: 0.1, longpoll: Infinity };
/** Seconds between two acks that leave alone. */
const ACK_INTERVAL = 0.1;
/** The part of the window at which an ack is due at once. */
const WINDOW_PART = 0.25;

export class AckSchedule {
  /** The mark: the highest downlink number that was received in order (MRK-1). */
  received = 0;
  /** When an ack leaves alone. */
  dueAt = Infinity;
  /** No ack leaves alone before then, unless the window needs it. */
  private _notBefore = 0;
  /** The part of the window that the next ack will free. */
  private _unacked = 0;

  /** Records the next `count` messages, which came over `link` in a frame of `size` bytes. */
  record(count: number, size: number, link: Link, terms: Terms, now: number): void {
    this.received += count;
    this._unacked += count / terms.window_messages + size / terms.window_bytes;
    const delayed = Math.max(now + ACK_DELAY[link.transport], this._notBefore);
    this.dueAt = Math.min(this.dueAt, this._unacked < WINDOW_PART ? delayed : now);
  }

  /** Returns the mark, which is being written on `link`. */
  mark(link: Link): number {
    this.dueAt = Infinity;
    this._unacked = 0;
    link.acked = this.received;
    return this.received;
  }

  /** Returns whether an ack must leave alone on `link` now; if so, the next one waits for a while. */
  takeDue(link: Link, now: number): boolean {
    const due = link.acked < this.received && now >= this.dueAt;
    if (due) this._notBefore = now + ACK_INTERVAL;
    return due;
  }

  /** The ack that a request took along was lost. */
  setDue(): void {
    this.dueAt = 0;
  }

  /**
   * `link` carries the acks from now on. What was due on an earlier link may not be due on this one, and
   * what that one took along may be lost.
   */
  moveTo(link: Link): void {
    this.dueAt = link.acked < this.received ? 0 : Infinity;
  }

  /** Returns the part of `lost` that was not received: perhaps only the ack was lost (RES-4). */
  clipLostRange([first = 1, last = 0]: readonly number[]): number[] {
    const from = Math.max(first, this.received + 1);
    return from > last ? [] : [from, last];
  }

  /** Begins the next session. */
  reset(): void {
    this.received = 0;
    this.dueAt = Infinity;
  }
}
