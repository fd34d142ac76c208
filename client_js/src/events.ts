// What goes into the session core and what comes out of it: inputs, outputs and events.
import type { EncodedFrame } from "./codec.ts";
import type { Fate } from "./errors.ts";
import type { CloseFrame, Loss } from "./frames.ts";
import type { Link } from "./link.ts";

/** A request of a link, at most one of each in flight. WebSocket has none but `open` (SND-1, POL-1). */
export type Request = "open" | "post" | "poll";

/** What a link writes: the lines of one request's body, or the messages of a WebSocket. */
export interface Output {
  /** Absent for the messages of a WebSocket that has opened. */
  readonly request?: Request;
  readonly frames: readonly EncodedFrame[];
}

/** What a connection reports. */
export type Input = FrameReceived | Answer | ConnectionLost;

/** A WebSocket message, or the data of a server-sent event. */
export interface FrameReceived {
  readonly type: "frame";
  readonly frame: string | ArrayBuffer;
}

/** The answer to a request. */
export interface Answer {
  readonly type: "answer";
  readonly request: Request;
  /** The HTTP status; 0 if there was no answer, or not in time. */
  readonly status: number;
  readonly text: string;
  /** Seconds of a `Retry-After` header. */
  readonly retryIn?: number;
  /** When it arrived, if its handling was delayed. */
  readonly arrivedAt?: number;
}

/** The connection ended. */
export interface ConnectionLost {
  readonly type: "lost";
  readonly reason: string;
  /** The close code of a WebSocket. */
  readonly code?: number;
}

/** A message of the downlink, as the application sees it. */
export interface Message {
  readonly data: unknown;
  /** It was first sent before the last resume (OPN-6). */
  readonly recovered: boolean;
}

/** The fate of one unacknowledged send (RES-3). */
export interface SendFate<Tag> {
  readonly tag: Tag;
  readonly fate: Fate;
}

/** How the channel ends. */
export type Closing = Pick<CloseFrame, "code" | "reason" | "by">;

/** What happened to the session. `Tag` is the caller's handle for a send. */
export type SessionEvent<Tag> =
  | Attached
  /** `size`: bytes of the message, approximately. */
  | { readonly type: "message"; readonly message: Message; readonly size: number }
  /** The server's application has finished with a send (MRK-3). */
  | { readonly type: "settled"; readonly tag: Tag }
  /** The server refused a send by its number: `too_large` or `not_read` (DAT-5). */
  | { readonly type: "rejected"; readonly tag: Tag; readonly code: string }
  /** The session could not continue; `sends` holds every unacknowledged send. */
  | { readonly type: "reset"; readonly loss: Loss; readonly sends: readonly SendFate<Tag>[] }
  /** The credentials expire: call `renew` within that many seconds (REN-1). */
  | { readonly type: "renewal"; readonly within: number }
  | Closed<Tag>
  | LinkDropped;

/** An attach was answered: the session is open, or resumed. */
export interface Attached {
  readonly type: "opened";
  readonly link: Link;
  readonly resumed: boolean;
  /** The session's public id. */
  readonly id: string;
  /** How many downlink messages will be replayed. */
  readonly replayed: number;
}

/** The channel has ended. */
export interface Closed<Tag> {
  readonly type: "closed";
  readonly closing: Closing;
  /** Everything up to the `last` of the server's close was received. */
  readonly clean: boolean;
  readonly sends: readonly SendFate<Tag>[];
}

/** A link has ended; the session continues over the next. */
export interface LinkDropped {
  readonly type: "dropped";
  readonly link: Link;
  /** `drain`: the server asked for it (DRN-1). */
  readonly reason: string;
  /** What the server's `error` says of it. */
  readonly message?: string | undefined;
  /** Seconds to wait before the next attach, as the server asked; or 0. */
  readonly retryIn: number;
  /** What to write on its connection before closing that: the answer to a close (CLS-8). */
  readonly outputs?: readonly Output[];
}
