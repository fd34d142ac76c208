// The send buffer of a session: the messages that are not acknowledged yet. Pure.
import type { EncodedMessage } from "./codec.ts";
import type { Limits } from "./frames.ts";

/** One sent message. */
export interface BufferedMessage<Tag> extends EncodedMessage {
  /** The caller's handle for this send; undefined once its fate has been reported. */
  tag: Tag | undefined;
  /** The server refused the message: a `skip` takes its place (DAT-5). */
  skipped?: boolean;
}

/**
 * Messages ordered by number: first the numbered ones that are not acknowledged, then those that wait for a number
 * (NUM-2). A numbered message stays until an ack covers it (NUM-4).
 */
export class SendBuffer<Tag> {
  /** The number of the first entry: `first_retained` of an open (OPN-5). */
  first = 1;
  /** The number of the next message that is written for the first time. */
  next = 1;
  entries: BufferedMessage<Tag>[] = [];
  /** Bytes of the numbered entries. */
  bytes = 0;
  /** Bytes of all entries. */
  total = 0;

  /** The number that the last entry has or will get. */
  get lastNumber(): number {
    return this.first + this.entries.length - 1;
  }

  /** Adds a message that waits for a number. */
  push(entry: BufferedMessage<Tag>): void {
    this.entries.push(entry);
    this.total += entry.size;
  }

  /**
   * Returns the message to write as `number`, or undefined at the end of the buffer or if the window is full (DAT-6).
   */
  peek(number: number, limits: Limits): BufferedMessage<Tag> | undefined {
    const entry = this.entries[number - this.first];
    // Numbered messages may always be repeated, and one message fits any window.
    const numbered = this.next - this.first;
    if (!entry || number < this.next || !numbered) return entry;
    const full = numbered >= limits.window_messages || this.bytes + entry.size > limits.window_bytes;
    return full ? undefined : entry;
  }

  /** Records that `entry` is written as `number`, perhaps again. */
  markWritten(number: number, entry: BufferedMessage<Tag>): void {
    if (number < this.next) return;
    this.next = number + 1;
    this.bytes += entry.size;
  }

  /** Removes and returns the entries up to `mark`; none if the mark is an old one (MRK-4). */
  acknowledge(mark: number): BufferedMessage<Tag>[] {
    const removed = this.entries.splice(0, Math.max(0, mark + 1 - this.first));
    this.first += removed.length;
    for (const { size } of removed) {
      this.bytes -= size;
      this.total -= size;
    }
    return removed;
  }

  /** Replaces a message with a `skip`. Returns its tag, or undefined if its fate was already reported. */
  skip(number: number): Tag | undefined {
    const entry = this.entries[number - this.first];
    if (!entry) return undefined;
    const { tag } = entry;
    entry.tag = undefined;
    entry.skipped = true;
    return tag;
  }

  /** Returns the numbers of the messages that wait for one and are larger than `size`. */
  unsentAbove(size: number): number[] {
    const numbers: number[] = [];
    for (let number = this.next; number <= this.lastNumber; number++)
      if (this.entries[number - this.first]!.size > size) numbers.push(number);
    return numbers;
  }
}
