// One attach over one connection. Data only: session.ts and its modules change it.
import type { TransportName } from "./frames.ts";
import type { AttachState } from "./states.ts";

export interface Link {
  /** Its attach number (ATT-1). */
  readonly attach: number;
  readonly transport: TransportName;
  /** Its encoded `open`. */
  readonly opening: string;
  state: AttachState;
  /**
   * The next uplink number to write here. Until the link is open, at most that: the lowest number that was refused
   * since its `open` was made, which its `opened` may count as received.
   */
  next: number;
  /** The downlink mark that was last written here. */
  acked: number;
  /** Our `close` was written here. */
  closeWritten?: boolean;
  /** Our `leave` was written here. */
  leaveWritten?: boolean;
  /** Control frames to write. */
  control: string[];
  /** The POST in flight, if there is one. */
  post?: PendingPost | undefined;
  /** The number of the next poll, or of the one in flight (POL-1). */
  poll: number;
  polling?: boolean;
  polledAt: number;
  /** Consecutive failures of each kind of request: success of one kind does not reset the others. */
  readonly failures: { open: number; post: number; poll: number };
  /** When to drop the link unless something is received first (LIV-2). */
  deadline: number;
  /** The highest number that the server says it wrote here (SND-2). */
  sent?: number | undefined;
}

/** What a POST carried, to restore if it gets no answer. */
export interface PendingPost {
  readonly next: number;
  readonly control: readonly string[];
}

/** Returns a link that has not written its `open` yet, which carries `received` as our mark. */
export const createLink = (attach: number, transport: TransportName, opening: string, received: number): Link => ({
  attach,
  transport,
  opening,
  state: "fresh",
  next: Number.MAX_SAFE_INTEGER,
  acked: received,
  control: [],
  poll: 1,
  polledAt: 0,
  failures: { open: 0, post: 0, poll: 0 },
  deadline: Infinity,
});
