// The sends of a channel across its sessions, and the fate of each. Pure.
import { SendBuffer } from "./buffer.ts";
import type { Fate } from "./errors.ts";
import type { SendFate, SessionEvent } from "./events.ts";

/** A mark above every written number: the server means another session (MRK-5, RES-6). */
export class ForeignMark extends Error {}

/** A mark that the server does not know of. */
type Unknown = null | undefined;

export class Outbox<Tag> {
  /** Of the current session. */
  buffer = new SendBuffer<Tag>();

  /** Throws `ForeignMark` unless `mark` can be a mark of the current session. */
  checkAck(mark: number): void {
    if (mark >= this.buffer.next) throw new ForeignMark();
  }

  /** Settles everything up to `mark`, which was handled (MRK-3). */
  settle(mark: number): SessionEvent<Tag>[] {
    return this.buffer
      .acknowledge(mark)
      .flatMap(({ tag }) => (tag === undefined ? [] : [{ type: "settled" as const, tag }]));
  }

  /** Replaces a message that the server refused, by that `code`, with a `skip` (DAT-5). */
  skip(number: number, code: string): SessionEvent<Tag>[] {
    const tag = this.buffer.skip(number);
    return tag === undefined ? [] : [{ type: "rejected", tag, code }];
  }

  /**
   * Returns the fate of each unacknowledged send (RES-3).
   *
   * `handled`, `inHand`: the last message that the server's application has finished, and the last that it has begun.
   */
  fates(handled: number | Unknown, inHand: number | Unknown): SendFate<Tag>[] {
    const { entries, first } = this.buffer;
    return entries.flatMap(({ tag }, index) =>
      tag === undefined ? [] : [{ tag, fate: this._fate(first + index, handled, inHand) }],
    );
  }

  private _fate(number: number, handled: number | Unknown, inHand: number | Unknown): Fate {
    if (number >= this.buffer.next || number > (inHand ?? Infinity)) return "not_handled";
    return number <= (handled ?? 0) ? "handled" : "unknown";
  }

  /** Starts the next session, with nothing to send. */
  startOver(): void {
    this.buffer = new SendBuffer();
  }
}
