// The client's half of a session (PROTOCOL.md): numbers, marks, attaches, verdicts, close. Pure: what is
// heard and `now` (seconds of a monotonic clock) go in; what is to be written, events and the next deadline
// come out.
//
// A session outlives its links; a link is one attach over one connection. For each, the driver calls
// `attach`, then after every input `transmit` (write what it answers) and `deadline` (call `tick` then).
import { ReceiveCursor, SendBuffer } from "./buffer.ts";
import { decode, encodeBinary, encodeBytes, encodeControl, encodeData, encodeMessage } from "./codec.ts";
import type { Wire } from "./codec.ts";
import { ChannelError, FATAL, ProtocolError } from "./errors.ts";
import type { Fate } from "./errors.ts";
import type { TransportName } from "./fallback.ts";
import { LIMITS, TIMINGS } from "./frames.ts";
import type { CloseFrame, ErrorFrame, Frame, Limits, Loss, OpenedFrame, Timings } from "./frames.ts";
import { ATTACH, step } from "./states.ts";
import type { AttachState } from "./states.ts";

/** A request on its way. WebSocket has none, SSE one POST at most (SND-1), long poll also one poll. */
export type Request = "open" | "post" | "poll";

/** What is to be written: WebSocket messages, or the lines of one request's body. */
export interface Out {
  readonly type: "frames" | Request;
  readonly wires: readonly Wire[];
}

/** What a connection reports. */
export type Heard =
  /** A WebSocket message, or the data of an event. */
  | { readonly type: "frame"; readonly wire: string | ArrayBuffer | Uint8Array }
  /** The answer to a request; `status` 0: there was none, or not in time. */
  | { readonly type: "answer"; readonly of: Request; readonly status: number; readonly text: string }
  /** The connection ended; `code` is the WebSocket's. */
  | { readonly type: "lost"; readonly reason: string; readonly code?: number };

export interface Send<Tag> {
  readonly tag: Tag;
  readonly fate: Fate;
}

type Closing = Pick<CloseFrame, "code" | "reason" | "by">;

/** `sends` tells what became of everything unacknowledged (RES-3). */
export type Event<Tag> =
  | { readonly type: "opened"; readonly link: Link; readonly verdict: "new" | "resumed"; readonly id: string; readonly replayed: number }
  | { readonly type: "message"; readonly data: unknown; readonly recovered: boolean; readonly size: number }
  | { readonly type: "settled"; readonly tag: Tag }
  /** The server takes no message of this size (DAT-5). */
  | { readonly type: "rejected"; readonly tag: Tag }
  | ({ readonly type: "reset"; readonly sends: readonly Send<Tag>[] } & Omit<Loss, "in_hand">)
  /** Another client has the session; `closed` follows. */
  | { readonly type: "superseded"; readonly attach: number; readonly client: string }
  | { readonly type: "renew"; readonly within: number }
  /** `clean`: everything up to the server's `last` was received. */
  | ({ readonly type: "closed"; readonly clean: boolean; readonly sends: readonly Send<Tag>[] } & Closing)
  /** The link is over; the session goes on over the next, after `retryIn` where it is given. Reason `drain`: DRN-1. */
  | { readonly type: "drop"; readonly link: Link; readonly reason: string; readonly retryIn: number };

/** One attach over one connection. */
export interface Link {
  readonly attach: number;
  readonly carrier: TransportName;
  _state: AttachState;
  readonly _open: string;
  readonly _resuming: boolean;
  _token?: string | undefined;
  /** The next uplink number to write here. */
  _next: number;
  /** The downlink mark that was last written here. */
  _acked: number;
  /** Our `close` was written here. */
  _closed: boolean;
  /** Control frames to write. */
  _control: string[];
  /** What the POST in flight took along: put back where it gets no answer. */
  _post?: { readonly _next: number; readonly _control: readonly string[] } | undefined;
  /** The number of the poll, and when it left where it is in flight (POL-1). */
  _poll: number;
  _polled?: number | undefined;
  /** Requests in a row that failed. */
  _failures: number;
  /** Silence until then ends the link (LIV-2). */
  _until: number;
}

/** Requests that may fail in a row before the link is given up; so often another client may come first (ATT-5). */
const PATIENCE = 3;
/** The most that an `ack` waits for company on HTTP, in seconds (MRK-6). */
const ACK_DELAY = 0.1;
/** Seconds that a stream may stay mute once the server says that it wrote to it (SND-2). */
const MUTE = 5;
/** The `retry_in` of a server that goes without a word, by WebSocket close 1012 (DRN-1). */
const RESTART = 2;

export class Session<Tag> {
  readonly client: string;
  limits: Limits = LIMITS;
  timings: Timings = TIMINGS;
  buffer = new SendBuffer<Tag>();
  /** Mints ids of >= 128 random bits (OPN-3). */
  _mint: () => string;
  /** Further fields of every `open`: `target`, `wishes`. */
  _extras: object;
  _nonce: string | undefined;
  _token: string | undefined;
  _epoch: string | undefined;
  _attaches = 0;
  /** The highest attach that was confirmed: the one that sends (ATT-3). */
  _confirmed = 0;
  /** How often another client stood in the way of the first confirmation (ATT-5). */
  _refused = 0;
  _links = new Set<Link>();
  _cursor = new ReceiveCursor();
  /** What arrives at or below it is a replay (OPN-6). */
  _replay = 0;
  /** When a lone `ack` is due, and the size of what it will acknowledge (MRK-6). */
  _ackAt = Infinity;
  _unacked = 0;
  /** Seconds that a poll may be held, once a proxy was seen to cut one. */
  _hold: number | undefined;
  /** The `close` that the application asked for, and the server's. */
  _ours: Closing | undefined;
  _theirs: CloseFrame | undefined;
  _events: Event<Tag>[] = [];

  constructor(client: string, mint: () => string, extras: object = {}) {
    this.client = client;
    this._mint = mint;
    this._extras = extras;
  }

  /** There is, or may be, a session; or there will be, for what was sent. */
  get begun(): boolean {
    return this._attaches + this.buffer.entries.length > 0;
  }

  /** Mints the next attach (ATT-1). */
  attach(carrier: TransportName, credentials?: unknown): Link {
    const attach = ++this._attaches;
    const { received } = this._cursor;
    const open = {
      type: "open",
      versions: [1],
      client: this.client,
      nonce: (this._nonce ??= this._mint()),
      attach,
      received,
      first_retained: this.buffer.first,
      // JSON leaves out what is undefined.
      session: this._token,
      epoch: this._epoch,
      ...this._extras,
      credentials,
    };
    const link: Link = {
      attach,
      carrier,
      _state: "fresh",
      _open: JSON.stringify(open),
      _resuming: !!this._token,
      _next: 1,
      _acked: received,
      _closed: false,
      _control: [],
      _poll: 1,
      _failures: 0,
      _until: Infinity,
    };
    this._ackAt = Infinity;
    this._links.add(link);
    return link;
  }

  /** Takes a message; raises `ChannelError` for what cannot be sent (DAT-3, DAT-4), or once it is closing. */
  send(message: unknown, tag: Tag): void {
    if (this._ours || this._theirs) throw new ChannelError("closed", "the channel is closed: make a new one");
    this.buffer.push({ ...encodeMessage(message, this.limits.message, this.limits.depth), _tag: tag });
  }

  /** No message follows: what was sent before is still brought over, then the close (CLS-2). */
  close(code: number, reason: string): void {
    this._ours ??= { code, reason, by: "app" };
  }

  /** Answers a `renew` (REN-1). */
  renew(credentials: unknown): void {
    for (const link of this._links) link._control.push(encodeControl({ type: "renew", credentials }));
  }

  /** Ends the session from this side alone, without a word to the server. */
  abandon(code: number, reason: string): Event<Tag>[] {
    this._end({ code, reason, by: "protocol" });
    return this._events.splice(0);
  }

  /** When to call `tick`. */
  get deadline(): number {
    return Math.min(
      ...[...this._links].flatMap((link) => [link._until, this._leads(link) && !link._post ? this._ackAt : Infinity]),
    );
  }

  /** Time has passed: drops what is silent (LIV-2). */
  tick(now: number): Event<Tag>[] {
    for (const link of this._links) if (now >= link._until) this._drop(link, "silent");
    return this._events.splice(0);
  }

  /** The connection of `link` reports. */
  hear(link: Link, heard: Heard, now: number): Event<Tag>[] {
    try {
      if (this._links.has(link)) this._hear(link, heard, now);
    } catch (error) {
      // A frame that is refused has had no effect (FRM-4); the next attach starts from the marks.
      if (!(error instanceof ProtocolError)) throw error;
      this._drop(link, error.code);
    }
    return this._events.splice(0);
  }

  /** All that is to be written on `link` now. */
  transmit(link: Link, now: number): Out[] {
    const { carrier, attach } = link;
    if (link._state === "fresh") {
      link._state = step(ATTACH, link._state, "open");
      return [{ type: "open", wires: [link._open] }];
    }
    const out: Out[] = [];
    if (link._state === "opening") return out;
    const confirms = link._state === "provisional" && attach > this._confirmed && this._links.has(link);
    if (confirms) this._confirm(link);
    const wires: Wire[] = [];
    if (carrier === "websocket") {
      if (confirms) wires.push(this._ack(link));
      this._fill(link, wires, now, Infinity);
      if (wires.length) out.push({ type: "frames", wires });
      return out;
    }
    const head = { session: (this._token ?? link._token)!, client: this.client, attach, epoch: this._epoch! };
    if (!link._post) {
      const first = encodeControl({ type: "send", ...head });
      const post = { _next: link._next, _control: link._control };
      this._fill(link, wires, now, this.limits.body - first.length);
      // A first poll confirms as well as a POST does (ATT-3).
      if (wires.length || (confirms && carrier === "sse")) {
        link._post = post;
        out.push({ type: "post", wires: [first, ...wires] });
      }
    }
    if (carrier === "longpoll" && link._polled === undefined && this._leads(link)) {
      link._polled = now;
      const poll = { type: "poll", ...head, poll: link._poll, ack: this._mark(link), hold: this._hold };
      out.push({ type: "poll", wires: [JSON.stringify(poll)] });
    }
    return out;
  }

  /** The newest confirmed attach has the session: only it carries data and acks (ATT-3). */
  _leads(link: Link): boolean {
    return link.attach === this._confirmed && this._links.has(link);
  }

  _confirm(link: Link): void {
    link._state = step(ATTACH, link._state, "confirm");
    this._confirmed = link.attach;
    if (this._token) return;
    // The token of the first attach that is confirmed is kept (OPN-4); a later session needs a new nonce (OPN-3).
    this._token = link._token;
    this._nonce = undefined;
  }

  /** The mark of the downlink, on its way over `link`. */
  _mark(link: Link): number {
    this._ackAt = Infinity;
    this._unacked = 0;
    return (link._acked = this._cursor.received);
  }

  _ack(link: Link): string {
    return encodeControl({ type: "ack", ack: this._mark(link) });
  }

  /** Adds to `wires` control frames, data, our `close`, and an `ack` that is due; on HTTP at most `room` bytes. */
  _fill(link: Link, wires: Wire[], now: number, room: number): void {
    const { limits, buffer } = this;
    const http = room < Infinity;
    for (const control of link._control) {
      wires.push(control);
      room -= control.length + 1;
    }
    link._control = [];
    if (!this._leads(link)) return;
    // What was acknowledged in the meantime is not written again.
    let next = Math.max(link._next, buffer.first);
    let texts: string[] = [];
    let size = 0;
    const flush = (): void => {
      if (texts.length) wires.push(encodeData(next - texts.length, this._mark(link), texts));
      texts = [];
      size = 0;
    };
    for (let entry; (entry = buffer.peek(next, limits)); next++) {
      const { _body: body } = entry;
      const text = typeof body === "string" && !entry._skip;
      // What stands around a message: a comma, or the frame of bytes in base64; around all of them, at most 64.
      const cost = http && !text ? entry._size * 1.34 + 99 : entry._size + 1;
      if (texts.length >= limits.batch || size + cost + 64 > limits.body) flush();
      // One always goes: a body holds any message (section 12).
      if (http && (room < cost + 64 || wires.length + 4 > limits.batch) && texts.length + wires.length) break;
      buffer.number(next, entry);
      room -= texts.length ? cost : cost + 64;
      if (text) {
        texts.push(body);
        size += cost;
      } else {
        flush();
        const ack = this._mark(link);
        wires.push(
          entry._skip
            ? encodeControl({ type: "skip", number: next, ack })
            : (http ? encodeBytes : encodeBinary)(next, ack, body as Uint8Array),
        );
      }
    }
    flush();
    link._next = next;
    if (this._ours && !link._closed && next === buffer.first + buffer.entries.length) wires.push(this._last(link, this._ours));
    if (link._acked < this._cursor.received && now >= this._ackAt) wires.push(this._ack(link));
  }

  /** Our `close`, as asked for or in answer to the server's (CLS-1, CLS-3). */
  _last(link: Link, { code, reason, by }: Closing): string {
    link._closed = true;
    return encodeControl({ type: "close", code, reason, by, last: this.buffer.next - 1, ack: this._mark(link) });
  }

  _hear(link: Link, heard: Heard, now: number): void {
    if (heard.type === "frame") return this._receive(link, heard.wire, now);
    if (heard.type === "lost") {
      if (heard.code === 1012) this._drop(link, "drain", RESTART);
      else this._drop(link, heard.reason);
      return;
    }
    const { of, status, text } = heard;
    const lines = text.split("\n").filter(Boolean);
    if (status === 200 && of === "post") return this._answered(link, lines.map(decode), now);
    // A poll that was cut after a while: something on the way does not hold that long.
    const held = now - link._polled!;
    if (of === "poll") link._polled = undefined;
    if (status === 200 && lines.length) {
      link._failures = 0;
      if (of === "poll") link._poll++;
      for (const line of lines) this._receive(link, line, now);
      return;
    }
    this._undo(link, of);
    let frame: Frame | undefined;
    try {
      frame = decode(lines[0]!);
    } catch {
      // A page of something between: it says no more of the channel than silence does.
    }
    if (frame?.type === "error") return this._error(link, frame);
    // An empty 200 only says that a newer poll stands (POL-2).
    if (status === 200) link._poll++;
    else if (of === "poll" && held > 2) this._hold = Math.max(5, held / 2);
    // The request is repeated with the same content, and what has come up since (SND-1, POL-2).
    if (of === "open" || ++link._failures >= PATIENCE)
      this._drop(link, status === 200 ? "ended" : status ? "HTTP " + status : "no answer");
  }

  /** Puts back what the POST took along; its marks are due again. */
  _undo(link: Link, of: Request): void {
    const { _post: post } = link;
    if (of !== "post" || !post) return;
    link._post = undefined;
    link._next = post._next;
    link._control.unshift(...post._control);
    link._closed = false;
    link._acked = -1;
    this._ackAt = 0;
  }

  /** The answer to a POST: the marks, how the downlink does, and what the frames caused (SND-2). */
  _answered(link: Link, frames: readonly Frame[], now: number): void {
    const [first] = frames;
    if (first?.type !== "ack" || first.received === undefined) throw new ProtocolError("bad_frame", "no marks");
    const { received, sent = 0, attached } = first;
    link._post = undefined;
    link._failures = 0;
    if (this._isForeign(received)) return;
    link._next = Math.min(link._next, received + 1);
    for (const frame of frames) this._handle(link, frame, now);
    if (link.carrier !== "sse") return;
    if (attached === false) this._drop(link, "detached");
    // A stream that is written to and brings nothing is held up by something on the way.
    else if (sent > this._cursor.received) link._until = Math.min(link._until, now + MUTE);
  }

  /** A frame of the downlink. */
  _receive(link: Link, wire: string | ArrayBuffer | Uint8Array, now: number): void {
    this._handle(link, decode(wire), now, typeof wire === "string" ? wire.length : wire.byteLength);
    if (link._state !== "opening") link._until = now + 2 * this.timings.heartbeat + 5;
  }

  _handle(link: Link, frame: Frame, now: number, size = 0): void {
    // Frames that come behind the one that ended the link.
    if (!this._links.has(link)) return;
    const opening = link._state === "opening";
    switch (frame.type) {
      case "error":
        return this._error(link, frame);
      case "drain":
        return this._drop(link, frame.type, frame.retry_in);
      case "ping":
        link._control.push(encodeControl({ ...frame, type: "pong" }));
        return;
      case "pong":
        return;
      case "close":
        if (this._isForeign(frame.ack)) return;
        this._settle(frame.ack);
        this._theirs = frame;
        // In the place of `opened`: the session was over before (CLS-5).
        return this._over(link, opening);
      case "reset": {
        // What is held was not lost, though its ack may have been (RES-4).
        const [first = 1, last = 0] = frame.lost ?? [];
        const from = Math.max(first, this._cursor.received + 1);
        return this._reset({ ...frame, lost: frame.lost && (from > last ? [] : [from, last]) });
      }
      case "opened":
        if (opening) return this._opened(link, frame);
    }
    if (opening || frame.type === "opened") throw new ProtocolError("bad_frame", "out of place");
    if (frame.type === "renew") this._events.push({ type: "renew", within: frame.within! });
    else if ((frame.type === "data" || frame.type === "bytes" || frame.type === "ack") && !this._isForeign(frame.ack)) {
      this._settle(frame.ack);
      if (frame.type === "data") this._take(link, frame.seq, frame.messages, now, size);
      if (frame.type === "bytes") this._take(link, frame.number, [frame.data], now, size);
    }
  }

  _opened(link: Link, { attach, client, verdict, session, reset, received, handled, sent, epoch, id, limits, timings }: OpenedFrame): void {
    const resumed = verdict === "resumed";
    if (attach !== link.attach || client !== this.client || (resumed ? !link._resuming : !session || (link._resuming && !reset)))
      throw new ProtocolError("bad_frame", "another open");
    if (reset) this._reset(reset, link);
    if (this._isForeign(Math.max(received, handled))) return;
    link._state = step(ATTACH, link._state, "opened");
    link._token = session;
    link._next = received + 1;
    this._epoch = epoch;
    this.limits = { ...LIMITS, ...limits };
    this.timings = { ...TIMINGS, ...timings };
    this._replay = resumed ? sent : 0;
    this._events.push({
      type: "opened",
      link,
      verdict: resumed ? verdict : "new",
      id,
      replayed: Math.max(0, this._replay - this._cursor.received),
    });
    this._settle(handled);
    // The server's limit may be below the one that these were checked against.
    const { entries, first, next } = this.buffer;
    for (const [index, { _size: size }] of entries.entries())
      if (index >= next - first && size > this.limits.message) this._skip(first + index);
  }

  /** The server takes no message of this size: a `skip` stands in its place (DAT-5). */
  _skip(number: number): void {
    const entry = this.buffer.entries[number - this.buffer.first];
    if (!entry || entry._skip) return;
    this._events.push({ type: "rejected", tag: entry._tag! });
    entry._tag = undefined;
    entry._skip = true;
  }

  /** Messages of the downlink from `seq` on; repetitions are passed over (NUM-3). `size`: of their frame. */
  _take(link: Link, seq: number, messages: readonly unknown[], now: number, size: number): void {
    const known = this._cursor.take(seq, messages.length);
    if (known === undefined) throw new ProtocolError("gap", "gap");
    const { received } = this._cursor;
    messages.slice(known).forEach((data, index) =>
      this._events.push({
        type: "message",
        data,
        recovered: seq + known + index <= this._replay,
        // What each takes in memory is not known; its share of the frame is near enough for a bound.
        size: size / messages.length,
      }),
    );
    if (known >= messages.length) return;
    this._unacked += size;
    const { window_messages, window_bytes } = this.limits;
    const quarter = received - link._acked >= window_messages / 4 || this._unacked >= window_bytes / 4;
    // A poll takes the mark along by itself.
    if (link.carrier !== "longpoll")
      this._ackAt = Math.min(this._ackAt, quarter || link.carrier === "websocket" ? now : now + ACK_DELAY);
    this._over(link);
  }

  /**
   * Whether `mark` is above what was ever put on a wire: the server speaks of another session, and this one
   * is dropped (MRK-5, RES-6).
   */
  _isForeign(mark: number): boolean {
    const foreign = mark >= this.buffer.next;
    if (foreign) this._reset({ reason: "foreign", lost: null, handled: null, in_hand: null });
    return foreign;
  }

  /** All up to `mark` was handled (MRK-3). */
  _settle(mark: number): void {
    for (const { _tag: tag } of this.buffer.ack(mark)) if (tag !== undefined) this._events.push({ type: "settled", tag });
  }

  /** What became of each unacknowledged send (RES-3). */
  _fates(handled: number | null, inHand: number | null): Send<Tag>[] {
    const { entries, first, next } = this.buffer;
    return entries.flatMap(({ _tag: tag }, index) => {
      const number = first + index;
      const known = number >= next || (handled !== null && number > (inHand ?? Infinity));
      return tag === undefined
        ? []
        : [{ tag, fate: known ? "not_handled" : handled !== null && number <= handled ? "handled" : "unknown" }];
    });
  }

  /** The session is over, a new one begins: in the `opened` of `heir`, or with the next open (RES-2, RES-4, RES-6). */
  _reset({ reason, lost, handled, in_hand }: Loss, heir?: Link): void {
    this._events.push({ type: "reset", reason, lost, handled, sends: this._fates(handled, in_hand) });
    this.buffer = new SendBuffer();
    this._cursor = new ReceiveCursor();
    this._confirmed = this._refused = 0;
    this._token = this._epoch = this._theirs = undefined;
    this._ackAt = Infinity;
    if (heir) heir._acked = 0;
    else this._nonce = undefined;
    for (const link of this._links) if (link !== heir) this._drop(link, "reset");
  }

  _drop(link: Link, reason: string, retryIn = 0): void {
    if (this._links.delete(link)) this._events.push({ type: "drop", link, reason, retryIn });
  }

  _error(link: Link, { code, message, number, expected, attach = 0, client = this.client, retry_in }: ErrorFrame): void {
    const closing = FATAL.get(code);
    if (code === "too_large" && number) {
      // Only that message is refused; all behind it was dropped unread (DAT-4, DAT-5).
      this._skip(number);
      link._next = Math.min(link._next, number);
    } else if (code === "gap" && expected && link.carrier !== "websocket" && ++link._failures < PATIENCE) {
      if (!this._isForeign(expected - 1)) link._next = expected;
    } else if (closing) this._end({ code: closing, reason: `${code}: ${message}`, by: "protocol" });
    else {
      if (code === "superseded") {
        this._attaches = Math.max(this._attaches, attach);
        if (client !== this.client && (this._token || ++this._refused > PATIENCE)) {
          this._events.push({ type: "superseded", attach, client });
          return this._end({ code: 4409, reason: "superseded: another page has taken this session", by: "protocol" });
        }
      }
      this._drop(link, code, retry_in);
    }
  }

  /** Ends the session where the server's `close` and everything up to its `last` are here (CLS-4); `late`: CLS-5. */
  _over(link: Link, late = false): void {
    const close = this._theirs;
    const { received } = this._cursor;
    if (!close || (received < close.last && !late)) return;
    if (!late) {
      // The last word, though a POST may be in flight: its answer tells nothing any more.
      link._post = undefined;
      if (!link._closed) link._control.push(this._last(link, close));
      else if (link._acked < received) link._control.push(this._ack(link));
    }
    this._end(close, received >= close.last, close.ack, close.in_hand);
  }

  /** Nothing more goes out but what stands in a link's control frames. */
  _end({ code, reason, by }: Closing, clean = false, handled: number | null = null, inHand = handled): void {
    this._events.push({ type: "closed", code, reason, by, clean, sends: this._fates(handled, inHand) });
    this._ours = { code, reason, by };
    this.buffer = new SendBuffer();
    this._links.clear();
  }
}
