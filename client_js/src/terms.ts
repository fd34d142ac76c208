// The terms of a session: what its server advertises in `opened` (PROTOCOL.md section 12).
import type { Limits, OpenedFrame, Timings } from "./frames.ts";

export type Terms = Limits & Timings & { readonly kinds: readonly string[] };

/** In force until `opened` delivers the server's own. */
export const DEFAULT_TERMS: Terms = {
  message: 262144,
  body: 350550,
  batch: 1000,
  depth: 64,
  window_messages: 1000,
  window_bytes: 1048576,
  heartbeat: 20,
  ttl: 120,
  closing: 30,
  kinds: [],
};

/** Returns the terms that `opened` advertises, with the defaults for what it leaves out. */
export const readTerms = ({ limits, timings, kinds = [] }: OpenedFrame): Terms => ({
  ...DEFAULT_TERMS,
  kinds,
  ...limits,
  ...timings,
});

/** Returns the seconds after which a silent connection is dropped (LIV-2). */
export const silenceTimeout = ({ heartbeat }: Terms): number => 2 * heartbeat + 5;
