// What the driver knows of each of its connections.
import type { Attempt } from "./explain.ts";
import type { Trial } from "./fallback.ts";
import type { Event, Link } from "./session.ts";
import type { Transport, Wiring } from "./transports/interface.ts";

/** An attempt, and the connection it became; wire and link exist once the credentials are there. */
export interface Connection extends Trial {
  readonly _attempt: { -readonly [Field in keyof Attempt]: Attempt[Field] };
  _from: number;
  _failed?: boolean;
  readonly _since: number;
  /** When its other end first answered. */
  _reached?: number;
  /** When it must have proven to work, or be given up; never, once it has. */
  _until: number;
  /** `opened` has come: the session may be taken over. */
  _opened?: (Event<unknown> & { _type: "opened" }) | undefined;
  _openedAt: number;
  /** How many frames came over it, and whether a POST beside it was answered. */
  _frames: number;
  _posted?: unknown;
  /** When to replace it by another of its kind. */
  _rotateAt: number;
  /** It brings nothing, though it stands. */
  _mute?: boolean;
  _wiring?: Wiring;
  _wire?: Transport;
  _link?: Link;
}
