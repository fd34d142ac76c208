// The connector's record of each of its connections.
import type { Attached } from "./events.ts";
import type { MutableAttempt } from "./explain.ts";
import type { ActiveConnection, Trial } from "./fallback.ts";
import type { TransportName } from "./frames.ts";
import type { Link } from "./link.ts";
import type { Transport, TransportContext } from "./transports/interface.ts";

/** An attempt, and the connection that it became. */
export interface Connection extends Trial, ActiveConnection {
  readonly attempt: MutableAttempt;
  readonly startedAt: number;
  racingSince: number;
  failed?: boolean;
  /** Seconds until the other end first answered: the upgrade, or the headers of a stream. */
  reachedAfter?: number;
  /** Deadline for proving that it works; infinite once it has. */
  deadline: number;
  /** The `opened` that it received, while it has not taken the session over. */
  attached?: Attached | undefined;
  readonly probeAfter: { [Name in TransportName]?: number };
  /** It ended for a reason that says nothing of its transport. */
  isBlameless?: boolean;
  /** The application's credentials are there, if it has any. */
  hasCredentials?: boolean;
  /** What the server answered instead of `opened`, in words. */
  refusal?: string | undefined;
  /** When `opened` was received; 0 before. */
  openedAt: number;
  /** How many frames it delivered. */
  frames: number;
  /** A request other than its stream was answered. */
  hasAnswers?: boolean;
  rotateAt: number;
  /** Its `open` was answered by a refusal, of the server or of something in front of it. */
  isRefused?: boolean;
  /** An intermediary buffers its stream. */
  isMute?: boolean;
  /** Set once the credentials are available. */
  context?: TransportContext;
  adapter?: Transport;
  link?: Link;
}
