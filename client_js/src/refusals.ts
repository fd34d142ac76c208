// Whether the refusal of a link ends the channel, and when to try again. Pure.
import { MAX_CONSECUTIVE_FAILURES } from "./answers.ts";
import { FATAL } from "./errors.ts";
import type { Closing } from "./events.ts";
import type { ErrorFrame } from "./frames.ts";
import type { Link } from "./link.ts";
import { ForeignMark } from "./outbox.ts";

/** The `retry_in` of a server that stops without a word, by WebSocket close 1012 (DRN-1). */
export const RESTART_RETRY_IN = 2;
/** Seconds of a `retry_in` that count, at most (DRN-1): a wrong one must not cost a day. */
const MAX_RETRY_IN = 300;

/** Returns the seconds of a `retry_in` that count. It is not a number if its frame was malformed. */
export const boundedWait = (retryIn: number): number => Math.min(Math.max(0, +retryIn || 0), MAX_RETRY_IN);

/** What a refusal is judged by: the session. */
export interface Standing {
  readonly client: string;
  readonly attaches: number;
  readonly confirmed: number;
  leads(link: Link): boolean;
  isCarried(): boolean;
}

/** The refusals of one client instance, as far as they decide what the next one means. */
export class Refusals {
  /**
   * If credentials are refused on an attach up to this number, they may have expired: ask for fresh ones once (REN-1).
   */
  private _renewableUpTo: number;
  /** How often another client came first before our first confirmation (ATT-5). */
  private _supersededCount = 0;

  /** `renewable`: the credentials come from a function, which may be asked again if they are refused. */
  constructor(renewable: boolean) {
    this._renewableUpTo = renewable ? Infinity : 0;
  }

  /** Records that an attach was opened: its credentials were valid. */
  opened(): void {
    this._renewableUpTo = Infinity;
  }

  /** Begins a new session, which no client has confirmed. */
  startOver(): void {
    this._supersededCount = 0;
  }

  /**
   * Returns how an error ends the channel; undefined if only `link` is refused.
   *
   * Throws `ForeignMark` if a copy of this client has continued the session.
   */
  closing(session: Standing, link: Link, frame: ErrorFrame): Closing | undefined {
    const { client, attaches, confirmed } = session;
    const { code, attach = 0, client: owner = client } = frame;
    if (code === "superseded") {
      if (owner === client) {
        if (attach > confirmed) throw new ForeignMark();
      } else if ((confirmed && attach > confirmed) || ++this._supersededCount > MAX_CONSECUTIVE_FAILURES) {
        return { code: 4409, reason: code + ": taken by another page", by: "protocol" };
      }
      return;
    }
    // Another link goes on, whatever this one was refused for (ATT-8).
    if (!session.leads(link) && session.isCarried()) return;
    if (code === "unauthorized" && (link.state === "open" || link.attach <= this._renewableUpTo)) {
      // Credentials that are refused once more after this are wrong.
      this._renewableUpTo = Math.min(this._renewableUpTo, attaches);
      return;
    }
    // Not a number if `code` is inherited from Object.prototype, such as "constructor".
    const closeCode = FATAL[code]!;
    return closeCode > 0 ? { code: closeCode, reason: code + ": " + frame.message, by: "protocol" } : undefined;
  }
}
