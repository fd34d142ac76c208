// The states of a channel as one table; what is not in it throws and changes nothing. And those of an attach.

export type ChannelState = "connecting" | "open" | "recovering" | "suspended" | "closed";

/** From every state but the last, the application may suspend or either side close. */
const LEAVE = { suspend: "suspended", close: "closed" } as const;

export const CHANNEL = {
  connecting: { ...LEAVE, opened: "open" },
  open: { ...LEAVE, lost: "recovering" },
  // expire: `timings.ttl` has passed without a word; it keeps trying, and the verdict will tell.
  recovering: { ...LEAVE, opened: "open", expire: "suspended" },
  suspended: { ...LEAVE, opened: "open", resume: "recovering" },
  closed: {},
} as const;

type Table<State extends string> = { readonly [From in State]: { readonly [input: string]: State } };

/** The state that follows. */
export function step<State extends string>(table: Table<State>, state: State, input: string): State {
  const next = table[state][input];
  if (!next) throw new Error(input + " when " + state);
  return next;
}

/** Whether an open attach is provisional or confirmed (ATT-2, ATT-3) is told by its number. */
export type AttachState = "fresh" | "opening" | "open";

export const ATTACH = {
  // Its `open` is not written yet.
  fresh: { open: "opening" },
  opening: { opened: "open" },
  open: {},
} as const;
