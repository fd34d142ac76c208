// Interprets the answer to a request: updates its link and decides what to do next. Pure.
import type { AckSchedule } from "./acks.ts";
import { badFrame, decode } from "./codec.ts";
import type { Answer } from "./events.ts";
import type { AckFrame, Frame } from "./frames.ts";
import type { Link } from "./link.ts";
import type { PollPacing } from "./polls.ts";

/** Consecutive failures of one kind of request after which the link is dropped. */
export const MAX_CONSECUTIVE_FAILURES = 3;
/** Seconds within which a stream must deliver what the server says it has written (SND-2). */
const MUTE_TIMEOUT = 5;

/** What to do about an answer. */
export type NextStep =
  /** Handle the frames in it. The answer to a POST and a refusal are not part of the downlink. */
  | { readonly type: "frames"; readonly lines: readonly string[]; readonly isDownlink: boolean }
  /** Repeat the request, with the same content and what was queued since (SND-1, POL-2). */
  | { readonly type: "retry" }
  /** Drop the link. */
  | { readonly type: "drop"; readonly reason: string; readonly retryIn: number };

/** Records on `link` that a request was answered or failed, and returns what to do about it. */
export function recordAnswer(link: Link, answer: Answer, acks: AckSchedule, polls: PollPacing, now: number): NextStep {
  const { request, status, text, retryIn = 0, arrivedAt = now } = answer;
  const lines = text.split("\n").filter(Boolean);
  const ok = status === 200;
  const { post } = link;
  if (request === "post") link.post = undefined;
  if (request === "poll") {
    link.polling = false;
    polls.ended(arrivedAt - link.polledAt, ok);
    // An empty answer too: a newer poll has replaced this one (POL-2).
    if (ok) link.poll++;
  }
  // Anything but the marks was written by something else than the server (SND-2).
  if (request === "post" && ok && !isMarks(decode(lines[0] ?? ""))) throw badFrame();
  // A page of something else, with its usual status; or a stream without events.
  const isForeign = /^\s*</.test(text) || (request === "open" && link.transport === "sse");
  if (ok && lines.length && !isForeign) {
    link.failures[request] = 0;
    return { type: "frames", lines, isDownlink: request !== "post" };
  }
  if (request === "post" && post) {
    link.next = Math.min(link.next, post.next); // lower if a refusal was read meanwhile (DAT-5)
    link.control.unshift(...post.control);
    link.closeWritten = link.leaveWritten = false;
    link.acked = -1;
    acks.setDue();
  }
  // Any other body comes from an intermediary, and tells us no more about the channel than no answer at all.
  const [first = ""] = lines;
  if (/^{.*"type":"error"/.test(first)) return { type: "frames", lines: [first], isDownlink: false };
  // A poll without an answer means that the connection was lost, like the end of a stream. A page in the place of its
  // answer is not the server's either (HTTP-3).
  const isLost = request === "open" || (request === "poll" && (!status || (ok && isForeign))) || retryIn;
  if (!isLost && ++link.failures[request] < MAX_CONSECUTIVE_FAILURES) return { type: "retry" };
  return { type: "drop", reason: ok && !lines.length ? "ended" : status ? "HTTP " + status : "no answer", retryIn };
}

/** Returns whether `frame` is an `ack` with all the marks that answer a POST. */
const isMarks = (frame: Frame): boolean => frame.type === "ack" && typeof frame.received === "number";

/**
 * Records on `link` the marks that answer a POST (SND-2).
 *
 * Returns whether the link is still attached. If the server has written to the stream but nothing has arrived, an
 * intermediary is buffering it: it gets `MUTE_TIMEOUT` to deliver.
 */
export function recordPostMarks(
  link: Link,
  { received, sent, attached }: AckFrame,
  mark: number,
  now: number,
): boolean {
  if (received! < link.next) link.next = received! + 1;
  if (link.transport !== "sse") return true;
  if (attached === false) return false;
  link.sent = sent;
  if (sent! > mark) link.deadline = Math.min(link.deadline, now + MUTE_TIMEOUT);
  return true;
}
