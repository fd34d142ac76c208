// When to acknowledge what was received (MRK-6). Pure.
//
// An ack is piggybacked on whatever else is written: data, a poll, our `close`. If nothing is written in time it is
// sent on its own; and immediately if it would free a quarter of the server's send window, if it completes a replay,
// or if the server asks for it. On long poll every POST names the mark, and one without further lines is a lone ack
// (POL-5).
import type { LostRange } from "./frames.ts";
import type { Link } from "./link.ts";
import type { Terms } from "./terms.ts";

/**
 * Seconds that an ack waits to be piggybacked, from the first message that it covers. The server reads a frame for each
 * ack, and nothing waits for it: if something does, the server asks.
 */
const ACK_DELAY = 0.5;
/** The share of the window that makes an ack due immediately. */
const WINDOW_PART = 0.25;

export class AckSchedule {
  /** The mark: the highest downlink number that was received in order (MRK-1). */
  received = 0;
  private _dueAt = Infinity;
  /** Messages that the next ack acknowledges, and their bytes. */
  private _count = 0;
  private _size = 0;

  /**
   * Records the next `count` messages, which came in a frame of `size` bytes, over any link: one that no longer leads
   * writes no more, so the next one has to.
   */
  record(count: number, size: number, terms: Terms, now: number): void {
    this.received += count;
    this._count += count;
    this._size += size;
    const part = Math.max(this._count / terms.window_messages, this._size / terms.window_bytes);
    this._dueAt = Math.min(this._dueAt, part < WINDOW_PART ? now + ACK_DELAY : now);
  }

  /** Returns the mark to write on `link`, and clears the pending ack. */
  takeMark(link: Link): number {
    this._clear();
    link.acked = this.received;
    return this.received;
  }

  /** Returns when to send a standalone ack on `link`; infinite if that has carried the mark. */
  dueOn(link: Link): number {
    return link.acked < this.received ? this._dueAt : Infinity;
  }

  /** Makes an ack due immediately. */
  setDue(): void {
    this._dueAt = 0;
  }

  /**
   * Makes an ack due immediately on `link`, unless it has carried the mark.
   *
   * Called when `link` begins to carry the acks, too. One that was due on the previous link may not be due here, and
   * one that it carried may be lost: what counts is the mark in this link's `open`, which the server takes as an ack
   * (MRK-9).
   */
  setDueOn(link: Link): void {
    this._dueAt = link.acked < this.received ? 0 : Infinity;
  }

  /** Returns the part of `lost` that was not received: perhaps only the ack was lost (RES-4). */
  clipLostRange([first, last = 0]: LostRange): LostRange {
    const from = Math.max(first ?? 1, this.received + 1);
    return last !== null && from > last ? [] : [from, last];
  }

  /** Starts the next session. */
  reset(): void {
    this.received = 0;
    this._clear();
  }

  private _clear(): void {
    this._dueAt = Infinity;
    this._count = 0;
    this._size = 0;
  }
}
