// What `explain()` tells, in words.
import type { TransportName } from "./fallback.ts";

/** One entry of `explain()`. */
export interface Attempt {
  readonly transport: TransportName;
  /** `lost`: it was open; `left`: not waited for any longer, without a verdict. */
  readonly outcome: "pending" | "open" | "failed" | "lost" | "left";
  readonly reason: string;
  /** Until it was open, or had failed. */
  readonly milliseconds: number;
}

const took = (seconds: number): string => (seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`);

/** Why an attempt failed: `reason` as the connection told it; seconds until it was `reached`, if it was, and until it was `over`. */
export function failure(transport: TransportName, reason: string, reached: number | undefined, over: number): string {
  const websocket = transport === "websocket";
  if (reason === "mute") return "it began, and then brought nothing: something buffers it";
  if (reason !== "timeout") return websocket && reached === undefined && /^closed/.test(reason) ? "refused" : reason;
  if (reached === undefined) return `no answer for ${took(over)}: something swallows it`;
  return websocket
    ? `upgraded after ${took(reached)}, then no word for ${took(over - reached)}: something holds its messages back`
    : `headers after ${took(reached)}, no body for ${took(over - reached)}: something buffers it`;
}

/** What the answer to a plain GET of a WebSocket's URL tells; status 0: there was none. */
export const plainGet = (status: number, text: string): string =>
  "a plain GET of its URL " +
  (/upgrade_required/.test(text)
    ? "answers our 426: a proxy strips the upgrade"
    : /forbidden_origin/.test(text)
      ? "answers our 403: the server's list of origins lacks this one"
      : status
        ? `answers ${status}: it does not reach the server`
        : "fails too");
