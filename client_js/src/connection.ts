// What the connector knows of each of its connections.
import type { Attached } from "./events.ts";
import type { MutableAttempt } from "./explain.ts";
import type { ActiveConnection, Trial } from "./fallback.ts";
import type { Link } from "./link.ts";
import type { Transport, Wiring } from "./transports/interface.ts";

/** An attempt, and the connection that it became. */
export interface Connection extends Trial, ActiveConnection {
  readonly attempt: MutableAttempt;
  readonly startedAt: number;
  racingSince: number;
  failed?: boolean;
  /** Seconds until the other end first answered: the upgrade, or the headers of a stream. */
  reachedAfter?: number;
  /** When it must have proven that it works; infinite once it has. */
  until: number;
  /** `opened` has come, and the connection may take the session over. */
  opened?: Attached | undefined;
  /** When `opened` came; 0 before. */
  openedAt: number;
  /** How many frames came over it. */
  frames: number;
  /** A request was answered beside its stream. */
  hasAnswers?: boolean;
  rotateAt: number;
  /** An intermediary buffers its stream. */
  isMute?: boolean;
  /** These exist once the credentials are there. */
  wiring?: Wiring;
  adapter?: Transport;
  link?: Link;
}
