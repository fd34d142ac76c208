// The frames of PROTOCOL.md section 2, as a tagged union, and the table of their fields.

export interface Limits {
  readonly message: number;
  readonly body: number;
  readonly batch: number;
  readonly depth: number;
  readonly window_messages: number;
  readonly window_bytes: number;
}

export interface Timings {
  readonly heartbeat: number;
  readonly ttl: number;
  readonly closing: number;
}

/** PROTOCOL.md section 12: in force until `opened` tells the server's own. */
export const LIMITS: Limits = {
  message: 262144,
  body: 350550,
  batch: 1000,
  depth: 64,
  window_messages: 1000,
  window_bytes: 1048576,
};
export const TIMINGS: Timings = { heartbeat: 20, ttl: 120, closing: 30 };

export interface DataFrame {
  readonly type: "data";
  readonly seq: number;
  readonly ack: number;
  readonly messages: readonly unknown[];
}

export interface BytesFrame {
  readonly type: "bytes";
  readonly number: number;
  readonly ack: number;
  readonly data: Uint8Array;
}

export interface OpenFrame {
  readonly type: "open";
  readonly versions: readonly number[];
  readonly client: string;
  readonly nonce: string;
  readonly attach: number;
  readonly received: number;
  readonly first_retained: number;
  readonly session?: string;
  readonly epoch?: string;
  readonly target?: object;
  readonly credentials?: unknown;
  readonly wishes?: object;
}

/** What `opened` with verdict `reset`, and `reset` itself, say of the session that ended (RES-2). */
export interface Loss {
  readonly reason: string;
  readonly lost: readonly number[] | null;
  readonly handled: number | null;
  readonly in_hand: number | null;
}

export interface OpenedFrame {
  readonly type: "opened";
  readonly version: number;
  readonly id: string;
  readonly attach: number;
  readonly client: string;
  readonly verdict: "new" | "resumed" | "reset";
  readonly received: number;
  readonly handled: number;
  readonly sent: number;
  readonly epoch: string;
  readonly limits: Partial<Limits>;
  readonly timings: Partial<Timings>;
  readonly session?: string;
  readonly reset?: Loss;
}

export interface AckFrame {
  readonly type: "ack";
  readonly ack: number;
  readonly received?: number;
  readonly sent?: number;
  readonly attached?: boolean;
}

export interface SkipFrame {
  readonly type: "skip";
  readonly number: number;
  readonly ack: number;
}

export interface PingFrame {
  readonly type: "ping" | "pong";
  readonly id?: number;
}

export interface ResetFrame extends Loss {
  readonly type: "reset";
}

export interface ErrorFrame {
  readonly type: "error";
  readonly code: string;
  readonly message: string;
  readonly number?: number;
  readonly expected?: number;
  readonly attach?: number;
  readonly client?: string;
  readonly retry_in?: number;
  readonly limit?: string;
  readonly versions?: readonly number[];
}

export interface DrainFrame {
  readonly type: "drain";
  readonly retry_in: number;
}

export interface RenewFrame {
  readonly type: "renew";
  readonly within?: number;
  readonly credentials?: unknown;
}

export interface CloseFrame {
  readonly type: "close";
  readonly code: number;
  readonly reason: string;
  readonly by: "app" | "protocol";
  readonly last: number;
  readonly ack: number;
  readonly in_hand?: number;
}

export interface SendFrame {
  readonly type: "send";
  readonly session: string;
  readonly client: string;
  readonly attach: number;
  readonly epoch?: string;
}

export interface PollFrame {
  readonly type: "poll";
  readonly session: string;
  readonly client: string;
  readonly attach: number;
  readonly poll: number;
  readonly ack: number;
  readonly epoch?: string;
  readonly hold?: number;
}

export type Frame =
  | DataFrame
  | BytesFrame
  | OpenFrame
  | OpenedFrame
  | AckFrame
  | SkipFrame
  | PingFrame
  | ResetFrame
  | ErrorFrame
  | DrainFrame
  | RenewFrame
  | CloseFrame
  | SendFrame
  | PollFrame;

/**
 * The fields of each control frame that a server sends, by its `type`: name, `?` if it may be absent, `!` if
 * it may be null, and its kind. `0`: an integer from 0, `1`: from 1. Otherwise the first letter of what it
 * is: array, boolean, number, object, string; then perhaps the words that are allowed.
 */
export const FIELDS: ReadonlyMap<unknown, string> = new Map(
  Object.entries({
    bytes: "number:1 ack:0 data:s",
    opened:
      "version:1 id:s attach:1 client:s verdict:s=new,resumed,reset received:0 handled:0 sent:0 epoch:s limits:o timings:o session?:s reset?:o",
    ack: "ack:0 received?:0 sent?:0 attached?:b",
    ping: "id?:0",
    pong: "id?:0",
    reset: "reason:s lost!:a handled!:0 in_hand!:0",
    error: "code:s message:s number?:1 expected?:1 attach?:1 client?:s retry_in?:n",
    drain: "retry_in:n",
    renew: "within:n",
    close: "code:1 reason:s by:s=app,protocol last:0 ack:0 in_hand?:0",
  }),
);
