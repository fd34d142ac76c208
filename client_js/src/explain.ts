// What `explain()` tells, in words.
import type { TransportName } from "./frames.ts";

/** One entry of `explain()`. */
export interface Attempt {
  readonly transport: TransportName;
  /** `lost`: it was open; `left`: not waited for any longer, without a verdict. */
  readonly outcome: "pending" | "open" | "failed" | "lost" | "left";
  readonly reason: string;
  /** Until it was open, or had failed. */
  readonly milliseconds: number;
}

const took = (seconds: number): string => seconds.toFixed(2) + " s";

/** Why an attempt failed: `reason` as the connection told it; seconds until it was `reached`, if it was, and until it was `over`. */
export function failure(transport: TransportName, reason: string, reached: number | undefined, over: number): string {
  const held = "something buffers it";
  if (reason === "mute") return reason + ": " + held;
  if (reason !== "timeout") return reached === undefined && /^closed/.test(reason) ? "refused" : reason;
  if (reached === undefined) return "no answer for " + took(over);
  const what = transport === "websocket" ? "upgraded" : "headers";
  return what + " after " + took(reached) + ", no body for " + took(over - reached) + ": " + held;
}

/** What the answer to a plain GET of a WebSocket's URL tells, if there was one. */
export const plainGet = (status?: number, text = ""): string =>
  "; a plain GET of its URL " +
  (/upgrade_required/.test(text)
    ? "answers our 426: a proxy strips the upgrade"
    : /forbidden_origin/.test(text)
      ? "answers our 403: not this origin"
      : status
        ? "answers " + status
        : "fails");
