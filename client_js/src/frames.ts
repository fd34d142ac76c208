// The frames of PROTOCOL.md, as a tagged union.

/** A transport that a connection runs over. */
export type TransportName = "websocket" | "sse" | "longpoll";

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
  /** Seconds after which the server ends a stream (SSE-3). */
  readonly stream?: number;
}

/** Messages, as an array or in a `bytes` frame of either form (DAT-1, DAT-2). */
export interface DataFrame {
  readonly type: "data";
  readonly seq: number;
  readonly ack: number;
  readonly messages: readonly unknown[];
}

/** Bytes as base64, in a control frame. */
export interface BytesFrame {
  readonly type: "bytes";
  readonly number: number;
  readonly ack: number;
  readonly data: string;
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
  readonly credentials?: unknown;
  /** A WebSocket application at the channel's URL, in place of a channel (TGT-1). */
  readonly target?: { readonly subprotocols: readonly string[] };
}

/** What an `opened` with verdict `reset`, or a `reset`, says of the session that ended (RES-2). */
export interface Loss {
  readonly reason: string;
  readonly lost: LostRange | null;
  readonly handled: number | null;
  readonly in_hand: number | null;
  /** How many messages had no number because the buffer was full, as far as counted. */
  readonly dropped?: number;
}

/** The first and last number; the last is null if it is unknown how many follow. Empty if nothing was lost. */
export type LostRange = readonly (number | null)[];

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
  /** The kinds of `item` that the server takes (OPN-11). */
  readonly kinds?: readonly string[];
}

export interface AckFrame {
  readonly type: "ack";
  readonly ack: number;
  readonly received?: number;
  readonly sent?: number;
  readonly attached?: boolean;
  /** The server waits for an ack (MRK-8). */
  readonly prompt?: boolean;
}

export interface SkipFrame {
  readonly type: "skip";
  readonly number: number;
  readonly ack: number;
}

export interface PingFrame {
  readonly type: "ping";
  readonly id?: number;
}

export interface PongFrame {
  readonly type: "pong";
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
  /** The last of the refused messages, of which `number` is the first (DAT-7). */
  readonly last?: number;
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

/** What the server asks; `RenewFrame` answers. */
export interface RenewRequestFrame {
  readonly type: "renew";
  readonly within: number;
}

export interface RenewFrame {
  readonly type: "renew";
  readonly credentials: unknown;
}

export interface CloseFrame {
  readonly type: "close";
  readonly code: number;
  readonly reason: string;
  readonly by: "app" | "protocol";
  readonly last: number;
  readonly ack: number;
  readonly in_hand?: number;
  /** The server's application failed: it takes a new session after that many seconds (CLS-8). */
  readonly retry_in?: number;
}

export interface LeaveFrame {
  readonly type: "leave";
}

export interface SendFrame {
  readonly type: "send";
  readonly session: string;
  readonly client: string;
  readonly attach: number;
  readonly epoch?: string;
  /** The mark of the downlink, which the answer may then bring (POL-4). */
  readonly ack?: number;
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

/** The control frames that a client sends. */
export type ClientFrame =
  | BytesFrame
  | OpenFrame
  | AckFrame
  | SkipFrame
  | PingFrame
  | PongFrame
  | RenewFrame
  | CloseFrame
  | LeaveFrame
  | SendFrame
  | PollFrame;

/** The control frames that a server sends, without `bytes`, which is decoded to data. */
export type ServerFrame =
  | OpenedFrame
  | AckFrame
  | PingFrame
  | PongFrame
  | ResetFrame
  | ErrorFrame
  | DrainFrame
  | RenewRequestFrame
  | CloseFrame;

/** What a client reads. */
export type Frame = DataFrame | ServerFrame;
