// How the pages name things: one format for times, one for durations, and reasons in words.

export const NAMES = { websocket: "WebSocket", sse: "SSE", longpoll: "long polling" };

/** Why a connection or an attempt ended, if the client gives it as one word. */
const REASONS = {
  reconnect: "cut by you",
  suspend: "you went away",
  forbidden: "forbidden by you",
  drain: "the server asked this page to reconnect",
  silent: "nothing more arrived",
  mute: "something buffers it",
  replaced: "a new connection took over",
  superseded: "another connection answered first",
  "not needed": "another transport had answered",
};

const ENDS = {
  restarted: "the server has restarted",
  expired: "this page was away for too long",
  unknown: "the server no longer knows the old session",
  overflow: "too many messages were waiting for this page",
  failed: "the server's handler failed",
  shutdown: "the server was shutting down",
};

const FATES = { not_handled: "not delivered", unknown: "may or may not have arrived", handled: "delivered" };

export const reasonInWords = (reason) => REASONS[reason] ?? reason;
export const endInWords = (reason) => ENDS[reason] ?? reason;
export const fateInWords = (fate) => FATES[fate] ?? fate;

/** A time of day: 14:03:07. */
export const clock = (date = new Date()) =>
  [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");

/** A duration: 288 ms, 1.2 s. */
export const duration = (milliseconds) =>
  milliseconds < 1000 ? `${Math.max(1, Math.round(milliseconds))} ms` : `${(milliseconds / 1000).toFixed(1)} s`;

/** A number with its noun: 1 message, 2 messages. */
export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

/** One attempt to connect, as `explain()` lists it. */
export function attemptInWords({ transport, outcome, reason, milliseconds }) {
  const why = reason ? `: ${reasonInWords(reason)}` : "";
  const after = duration(milliseconds);
  const what = {
    pending: "is being tried",
    open: `open after ${after}`,
    failed: `failed after ${after}${why}`,
    lost: `opened after ${after}, has ended${why}`,
    left: `abandoned after ${after}${why}`,
  };
  return `${NAMES[transport]} ${what[outcome]}`;
}

/** Returns the elements by what `of` returns for them. */
function group(elements, of) {
  const groups = new Map();
  for (const element of elements) groups.set(of(element), [...(groups.get(of(element)) ?? []), element]);
  return groups;
}

/** Why the channel uses its transport. `allowed`: the transports that are allowed, best first. */
export function whyTransport(transport, allowed, attempts) {
  const better = Object.keys(NAMES).slice(0, Object.keys(NAMES).indexOf(transport));
  if (better.length === 0) return "the first choice";
  const groups = group(better, (name) => {
    if (!allowed.includes(name)) return "forbidden by you";
    return attempts.some((attempt) => attempt.transport === name) ? "failed when last tried" : "not tried yet";
  });
  return [...groups].map(([what, names]) => `${names.map((name) => NAMES[name]).join(" and ")} ${what}`).join("; ");
}
