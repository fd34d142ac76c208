// The states of a channel and of an attach, one table each. A transition that is not in the table throws and changes
// nothing.

export type ChannelState = "connecting" | "open" | "recovering" | "suspended" | "closed";

/** In every state but the last the application may suspend the channel, and either side may close it. */
const ALWAYS_ALLOWED = { suspend: "suspended", close: "closed" } as const;

export const CHANNEL_TRANSITIONS = {
  connecting: { ...ALWAYS_ALLOWED, opened: "open" },
  open: { ...ALWAYS_ALLOWED, lost: "recovering" },
  // expire: nothing was heard for `timings.ttl`. The client keeps trying; the next `opened` brings the verdict.
  recovering: { ...ALWAYS_ALLOWED, opened: "open", expire: "suspended" },
  suspended: { ...ALWAYS_ALLOWED, opened: "open", resume: "recovering" },
  closed: {},
} as const;

type Table<State extends string> = { readonly [From in State]: { readonly [input: string]: State } };

/** Returns the state that follows `state` by `input`. */
export function transition<State extends string>(table: Table<State>, state: State, input: string): State {
  const next = table[state][input];
  if (!next) throw new Error(input + " when " + state);
  return next;
}

/** An open attach is provisional or confirmed depending on its number (ATT-2, ATT-3). */
export type AttachState = "fresh" | "opening" | "open";

export const ATTACH_TRANSITIONS = {
  // Its `open` is not written yet.
  fresh: { open: "opening" },
  opening: { opened: "open" },
  open: {},
} as const;
