// The buffers of a session: what was sent and not yet acknowledged, and how far was received. Pure.
import type { Encoded } from "./codec.ts";
import type { Limits } from "./frames.ts";

/** One sent message; `_tag` is whatever its sender wants to be told it by, gone once it is settled. */
export interface Entry<Tag> extends Encoded {
  _tag: Tag | undefined;
  /** A `skip` stands in the place of the message, which the server refused (DAT-5). */
  _skip?: boolean;
}

/**
 * Messages in the order of their numbers: first those numbered and not acknowledged, then those that
 * wait for a number (NUM-2). Numbered ones stay until an ack covers them (NUM-4).
 */
export class SendBuffer<Tag> {
  /** The number of the first entry: `first_retained` of an open (OPN-5). */
  first = 1;
  /** The number that the next message put on a wire will get. */
  next = 1;
  entries: Entry<Tag>[] = [];
  /** Bytes of the numbered entries, and of all. */
  _bytes = 0;
  size = 0;

  push(entry: Entry<Tag>): void {
    this.entries.push(entry);
    this.size += entry._size;
  }

  /** What may be put on a wire as `number`; nothing where none is left, or the window is full (DAT-6). */
  peek(number: number, limits: Limits): Entry<Tag> | undefined {
    const entry = this.entries[number - this.first];
    const waiting = this.next - this.first;
    if (
      entry &&
      waiting &&
      number >= this.next &&
      (waiting >= limits.window_messages || this._bytes + entry._size > limits.window_bytes)
    )
      return undefined;
    return entry;
  }

  /** `entry` is put on a wire as `number`. */
  number(number: number, entry: Entry<Tag>): void {
    if (number < this.next) return;
    this.next = number + 1;
    this._bytes += entry._size;
  }

  /** All up to `mark` are acknowledged; answers them. An old mark answers none (MRK-4). */
  ack(mark: number): Entry<Tag>[] {
    const gone = this.entries.splice(0, Math.max(0, mark + 1 - this.first));
    this.first += gone.length;
    for (const { _size: size } of gone) {
      this._bytes -= size;
      this.size -= size;
    }
    return gone;
  }
}

/** The mark of the other direction (MRK-1). */
export class ReceiveCursor {
  /** The highest number held in order. */
  received = 0;

  /**
   * `count` messages from `seq` on arrive: answers how many of them are repetitions, or undefined for a
   * gap, of which nothing is taken (NUM-3).
   */
  take(seq: number, count: number): number | undefined {
    const known = this.received + 1 - seq;
    if (known < 0) return undefined;
    this.received = Math.max(this.received, seq + count - 1);
    return known;
  }
}
