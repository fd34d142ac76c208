// The states of a channel and of one attach, each as one table. What is not in it throws and changes nothing.

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

/** fresh: `open` not written yet; provisional, confirmed: ATT-2 and ATT-3. */
export type AttachState = "fresh" | "opening" | "provisional" | "confirmed";

export const ATTACH = {
  fresh: { open: "opening" },
  opening: { opened: "provisional" },
  provisional: { confirm: "confirmed" },
  confirmed: {},
} as const;

type Table<State extends string> = { readonly [From in State]: { readonly [input: string]: State } };

/** The state that follows. */
export function step<State extends string>(table: Table<State>, state: State, input: string): State {
  const next = table[state][input];
  if (!next) throw new Error(`no ${input} in state ${state}`);
  return next;
}
