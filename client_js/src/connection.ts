// What the driver knows of each of its connections.
import type { Attempt } from "./explain.ts";
import type { Trial } from "./fallback.ts";
import type { Attached } from "./events.ts";
import type { Link } from "./link.ts";
import type { Transport, Wiring } from "./transports/interface.ts";

/** An attempt, and the connection it became; wire and link exist once the credentials are there. */
export interface Connection extends Trial {
  readonly attempt: { -readonly [Field in keyof Attempt]: Attempt[Field] };
  from: number;
  failed?: boolean;
  readonly since: number;
  /** When its other end first answered. */
  reached?: number;
  /** When it must have proven to work, or be given up; never, once it has. */
  until: number;
  /** `opened` has come: the session may be taken over. */
  opened?: Attached | undefined;
  openedAt: number;
  /** How many frames came over it, and whether a POST beside it was answered. */
  frames: number;
  posted?: unknown;
  /** When to replace it by another of its kind. */
  rotateAt: number;
  /** It brings nothing, though it stands. */
  mute?: boolean;
  wiring?: Wiring;
  wire?: Transport;
  link?: Link;
}
