// The send buffer of a session: what was sent and is not acknowledged yet. Pure.
import type { Encoded } from "./codec.ts";
import type { Limits } from "./frames.ts";

/** One sent message; `tag` is whatever its sender wants to be told it by, gone once it is settled. */
export interface Entry<Tag> extends Encoded {
  tag: Tag | undefined;
  /** A `skip` stands in the place of the message, which the server refused (DAT-5). */
  skip?: boolean;
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
  /** Bytes of the numbered entries. */
  bytes = 0;

  /** What may be put on a wire as `number`; nothing where none is left, or the window is full (DAT-6). */
  peek(number: number, limits: Limits): Entry<Tag> | undefined {
    const entry = this.entries[number - this.first];
    const numbered = this.next - this.first;
    const full = entry && (numbered >= limits.window_messages || this.bytes + entry.size > limits.window_bytes);
    return number >= this.next && numbered && full ? undefined : entry;
  }

  /** `entry` is put on a wire as `number`. */
  number(number: number, entry: Entry<Tag>): void {
    if (number < this.next) return;
    this.next = number + 1;
    this.bytes += entry.size;
  }

  /** All up to `mark` are acknowledged; answers them. An old mark answers none (MRK-4). */
  ack(mark: number): Entry<Tag>[] {
    const gone = this.entries.splice(0, Math.max(0, mark + 1 - this.first));
    this.first += gone.length;
    for (const entry of gone) this.bytes -= entry.size;
    return gone;
  }
}
