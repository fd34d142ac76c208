// The connection attempts of a channel, and why they failed, for `explain()`.
import type { TransportName } from "./frames.ts";

/** How many attempts are kept. */
const MAX_ATTEMPT_HISTORY = 50;

/** One entry of `explain()`. */
export interface Attempt {
  readonly transport: TransportName;
  /** `lost`: it opened, and has ended since, as `reason` tells; `left`: it was abandoned, without having failed. */
  readonly outcome: "pending" | "open" | "failed" | "lost" | "left";
  readonly reason: string;
  /** Time until it opened or failed. */
  readonly milliseconds: number;
}

/** An attempt that is not over. */
export type MutableAttempt = { -readonly [Field in keyof Attempt]: Attempt[Field] };

/** The latest attempts, and how many there were. */
export class AttemptLog {
  readonly counts = { websocket: 0, sse: 0, longpoll: 0 };
  private readonly _attempts: MutableAttempt[] = [];

  start(transport: TransportName): MutableAttempt {
    const attempt: MutableAttempt = { transport, outcome: "pending", reason: "", milliseconds: 0 };
    this._attempts.push(attempt);
    if (this._attempts.length > MAX_ATTEMPT_HISTORY) this._attempts.shift();
    this.counts[transport]++;
    return attempt;
  }

  /** Returns a copy of the latest attempts, oldest first. */
  list(): Attempt[] {
    return this._attempts.map((attempt) => ({ ...attempt }));
  }
}

/**
 * Records the outcome of an attempt after `seconds`. An attempt that had opened becomes `lost`, whatever `outcome` is.
 */
export function recordOutcome(
  attempt: MutableAttempt,
  outcome: Attempt["outcome"],
  reason: string,
  seconds: number,
): void {
  attempt.reason = reason;
  if (attempt.outcome !== "pending") {
    attempt.outcome = "lost";
    return;
  }
  attempt.outcome = outcome;
  attempt.milliseconds = seconds * 1000;
}

const BUFFERED = "something buffers it";

/**
 * Returns in words why an attempt failed.
 *
 * `reason`: as the connection gave it. `reachedAfter`: seconds until the other end answered, if it did.
 * `failedAfter`: seconds until the attempt was over.
 */
export function describeFailure(
  transport: TransportName,
  reason: string,
  reachedAfter: number | undefined,
  failedAfter: number,
): string {
  if (reason === "mute") return "mute: " + BUFFERED;
  const isReached = reachedAfter !== undefined;
  if (reason !== "timeout") return !isReached && /^closed/.test(reason) ? "refused" : reason;
  if (!isReached) return "no answer for " + inSeconds(failedAfter);
  const sign = transport === "websocket" ? "upgraded" : "headers";
  return `${sign} after ${inSeconds(reachedAfter)}, no body for ${inSeconds(failedAfter - reachedAfter)}: ${BUFFERED}`;
}

const inSeconds = (seconds: number): string => seconds.toFixed(2) + " s";
