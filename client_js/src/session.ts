// The client's half of a session (PROTOCOL.md): numbers, marks, attaches, verdicts, close. Pure: what is
// heard and `now` (seconds of a monotonic clock) go in; what is to be written, events and the next deadline
// come out.
//
// A session outlives its links; a link is one attach over one connection. For each, the driver calls
// `attach`, then after every input `transmit` (write what it answers) and `deadline` (call `tick` then).
import { ReceiveCursor, SendBuffer } from "./buffer.ts";
import { decode, encode, encodeBinary, encodeBytes, encodeData, encodeMessage } from "./codec.ts";
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
  /** 200, with the lines of its body. */
  | { readonly type: "answered"; readonly of: Request; readonly lines: readonly string[] }
  /** Another status; its body may be an `error` frame, or a proxy's page. */
  | { readonly type: "refused"; readonly of: Request; readonly text: string; readonly status: number }
  /** No answer in time, or none at all. */
  | { readonly type: "unanswered"; readonly of: Request }
  /** The connection ended; `code` is the WebSocket's. */
  | { readonly type: "lost"; readonly reason: string; readonly code?: number };

export interface Send<Tag> {
  readonly tag: Tag;
  readonly fate: Fate;
}

/** `sends` tells what became of everything unacknowledged (RES-3). */
export type Event<Tag> =
  | { readonly type: "opened"; readonly link: Link; readonly verdict: "new" | "resumed"; readonly id: string; readonly replayed: number }
  | { readonly type: "message"; readonly data: unknown; readonly recovered: boolean; readonly size: number }
  | { readonly type: "settled"; readonly tag: Tag }
  | { readonly type: "rejected"; readonly tag: Tag; readonly code: string; readonly fate: Fate }
  | ({ readonly type: "reset"; readonly sends: readonly Send<Tag>[] } & Omit<Loss, "in_hand">)
  | { readonly type: "superseded"; readonly attach: number; readonly client: string; readonly sends: readonly Send<Tag>[] }
  | { readonly type: "drain"; readonly retry_in: number }
  | { readonly type: "renew"; readonly within: number }
  | ({ readonly type: "closed"; readonly clean: boolean; readonly sends: readonly Send<Tag>[] } & Pick<CloseFrame, "code" | "reason" | "by">)
  /** The link is over; the session goes on over the next one, not before `retry_in`. */
  | { readonly type: "drop"; readonly link: Link; readonly reason: string; readonly retry_in: number };

/** What a POST took along, to be put back where it gets no answer. */
interface Post {
  readonly _next: number;
  readonly _acked: number;
  readonly _closed: boolean;
  readonly _control: readonly string[];
}

/** One attach over one connection. */
export interface Link {
  readonly attach: number;
  readonly carrier: TransportName;
  _state: AttachState;
  readonly _open: string;
  readonly _resuming: boolean;
  _token: string | undefined;
  /** The next uplink number to write here. */
  _next: number;
  /** The downlink mark that was last written here. */
  _acked: number;
  /** Our `close` was written here. */
  _closed: boolean;
  /** Control frames to write. */
  _control: string[];
  _post: Post | undefined;
  /** The POST got no answer: it is repeated, whatever is in it. */
  _again: boolean;
  /** The number of the poll, and when it left where it is in flight (POL-1). */
  _poll: number;
  _polled: number | undefined;
  /** Requests in a row that failed. */
  _failures: number;
  /** Silence until then ends the link (LIV-2). */
  _until: number;
}

/** Requests that may fail in a row before the link is given up. */
const PATIENCE = 3;
/** The most that an `ack` waits for company on HTTP, in seconds (MRK-6). */
const ACK_DELAY = 0.1;
/** Seconds that a stream may stay mute once the server says that it wrote to it (SND-2). */
const MUTE = 5;
/** A server that goes without a word (WebSocket close 1012) is given up to this many seconds (DRN-1). */
const RESTART = 2;

export class Session<Tag> {
  readonly client: string;
  limits: Limits = LIMITS;
  timings: Timings = TIMINGS;
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
  _buffer = new SendBuffer<Tag>();
  _cursor = new ReceiveCursor();
  /** What arrives at or below it is a replay (OPN-6). */
  _replay = 0;
  /** When a lone `ack` is due on HTTP, and the size of what it will acknowledge (MRK-6). */
  _ackAt = Infinity;
  _unacked = 0;
  /** The size of the frame in hand. */
  _heard = 0;
  /** Seconds that a poll may be held, once a proxy was seen to cut one. */
  _hold: number | undefined;
  /** The `close` that the application asked for, and the server's. */
  _ours: Pick<CloseFrame, "code" | "reason" | "by"> | undefined;
  _theirs: CloseFrame | undefined;
  _events: Event<Tag>[] = [];

  constructor(client: string, mint: () => string, extras: object = {}) {
    this.client = client;
    this._mint = mint;
    this._extras = extras;
  }

  /** A message waits or is unacknowledged, or the session has begun: a close has something to flush. */
  get begun(): boolean {
    return !!this._token || this._links.size > 0 || this._buffer.length > 0;
  }

  /** Messages that wait or are unacknowledged, and their bytes. */
  get pending(): { readonly length: number; readonly size: number } {
    return this._buffer;
  }

  /** Mints the next attach (ATT-1). */
  attach(carrier: TransportName, credentials?: unknown): Link {
    this._nonce ??= this._mint();
    const attach = ++this._attaches;
    const { received } = this._cursor;
    const link: Link = {
      attach,
      carrier,
      _state: "fresh",
      _open: encode({
        type: "open",
        versions: [1],
        client: this.client,
        nonce: this._nonce,
        attach,
        received,
        first_retained: this._buffer.first,
        // JSON leaves out what is undefined.
        ...({ session: this._token, epoch: this._epoch, ...this._extras, credentials } as object),
      }),
      _resuming: !!this._token,
      _token: undefined,
      _next: 1,
      _acked: received,
      _closed: false,
      _control: [],
      _post: undefined,
      _again: false,
      _poll: 1,
      _polled: undefined,
      _failures: 0,
      _until: Infinity,
    };
    this._links.add(link);
    return link;
  }

  /** Takes a message; raises `ChannelError` for what cannot be sent (DAT-3, DAT-4), or once it is closing. */
  send(message: unknown, tag: Tag): void {
    if (this._ours || this._theirs) throw new ChannelError("closed", "the channel is closed: make a new one");
    this._buffer.push({ ...encodeMessage(message, this.limits.message, this.limits.depth), _tag: tag });
  }

  /** No message follows: what was sent before is still brought over, then the close (CLS-2). */
  close(code: number, reason: string): void {
    this._ours ??= { code, reason, by: "app" };
  }

  /** Answers a `renew` (REN-1). */
  renew(credentials: unknown): void {
    for (const link of this._links) this._to(link, { type: "renew", credentials });
  }

  /** Ends the session from this side alone, without a word to the server. */
  abandon(code: number, reason: string): Event<Tag>[] {
    return this._collect(() => this._end({ code, reason, by: "protocol" }, null, false));
  }

  /** When to call `tick`. */
  get deadline(): number {
    let deadline = Infinity;
    for (const link of this._links) {
      deadline = Math.min(deadline, link._until);
      if (this._leads(link) && !link._post) deadline = Math.min(deadline, this._ackAt);
    }
    return deadline;
  }

  /** Time has passed: drops what is silent (LIV-2). */
  tick(now: number): Event<Tag>[] {
    return this._collect(() => {
      for (const link of this._links) if (now >= link._until) this._drop(link, "silent");
    });
  }

  /** The connection of `link` reports. */
  hear(link: Link, heard: Heard, now: number): Event<Tag>[] {
    return this._collect(() => {
      if (!this._links.has(link)) return;
      try {
        this._hear(link, heard, now);
      } catch (error) {
        // A frame that is refused has had no effect (FRM-4); the next attach starts from the marks.
        if (!(error instanceof ProtocolError)) throw error;
        this._drop(link, error.code);
      }
    });
  }

  /** All that is to be written on `link` now. */
  transmit(link: Link, now: number): Out[] {
    if (link._state === "fresh") {
      link._state = step(ATTACH, link._state, "open");
      return [{ type: "open", wires: [link._open] }];
    }
    if (link._state === "opening") return [];
    const out: Out[] = [];
    const confirms = link._state === "provisional" && link.attach > this._confirmed && this._links.has(link);
    if (confirms) this._confirm(link);
    const wires: Wire[] = [];
    if (link.carrier === "websocket") {
      if (confirms) wires.push(this._ack(link));
      this._fill(link, wires, Infinity);
      if (this._leads(link) && link._acked < this._cursor.received) wires.push(this._ack(link));
      if (wires.length) out.push({ type: "frames", wires });
      return out;
    }
    const { client, limits, _token: session, _epoch: epoch } = this;
    const attach = { session: session!, client, attach: link.attach, ...(epoch !== undefined && { epoch }) };
    if (!link._post) {
      const first = encode({ type: "send", ...attach });
      const post = { _next: link._next, _acked: link._acked, _closed: link._closed, _control: link._control.slice() };
      this._fill(link, wires, limits.body - first.length - 1);
      if (this._leads(link) && link._acked < this._cursor.received && (confirms || now >= this._ackAt)) wires.push(this._ack(link));
      // A first poll confirms as well as a POST does (ATT-3).
      if (wires.length || link._again || (confirms && link.carrier === "sse")) {
        link._post = post;
        link._again = false;
        out.push({ type: "post", wires: [first, ...wires] });
      }
    }
    if (link.carrier === "longpoll" && link._polled === undefined && this._leads(link)) {
      link._polled = now;
      const hold = this._hold !== undefined && { hold: this._hold };
      out.push({ type: "poll", wires: [encode({ type: "poll", ...attach, poll: link._poll, ack: this._mark(link), ...hold })] });
    }
    return out;
  }

  _collect(act: () => void): Event<Tag>[] {
    const events: Event<Tag>[] = (this._events = []);
    act();
    return events;
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
    return encode({ type: "ack", ack: this._mark(link) });
  }

  _to(link: Link, frame: Frame): void {
    link._control.push(encode(frame));
  }

  /** Adds control frames, then data, then our `close`, to `wires`; on HTTP at most `room` bytes in all. */
  _fill(link: Link, wires: Wire[], room: number): void {
    const { limits, _buffer: buffer } = this;
    const http = room < Infinity;
    for (const control of link._control.splice(0)) {
      wires.push(control);
      room -= control.length + 1;
    }
    if (!this._leads(link)) return;
    // What was acknowledged in the meantime is not written again.
    link._next = Math.max(link._next, buffer.first);
    let texts: string[] = [];
    let size = 0;
    const flush = (): void => {
      if (texts.length) wires.push(encodeData(link._next - texts.length, this._mark(link), texts));
      texts = [];
      size = 0;
    };
    for (let entry; (entry = buffer.peek(link._next, limits)); link._next++) {
      const { _body: body } = entry;
      const text = typeof body === "string";
      // 64 and 96: what stands around the messages in a frame, with the longest numbers.
      const cost = text || !http ? entry._size + 1 : Math.ceil(entry._size / 3) * 4 + 96;
      if (texts.length >= limits.batch || size + cost + 64 > limits.body) flush();
      // One always goes: a body holds any message (section 12).
      if (http && (room < cost + 64 || wires.length + 4 > limits.batch) && (texts.length || wires.length)) break;
      buffer.number(link._next, entry);
      room -= cost;
      if (entry._skip || !text) {
        flush();
        const number = link._next;
        const ack = this._mark(link);
        if (entry._skip) wires.push(encode({ type: "skip", number, ack }));
        else wires.push(http ? encodeBytes(number, ack, body as Uint8Array) : encodeBinary(number, ack, body as Uint8Array));
      } else {
        if (!texts.length) room -= 64;
        texts.push(body);
        size += cost;
      }
    }
    flush();
    if (this._ours && !link._closed && link._next === buffer.end) wires.push(this._closing(link, this._ours));
  }

  _closing(link: Link, { code, reason, by }: Pick<CloseFrame, "code" | "reason" | "by">): string {
    link._closed = true;
    return encode({ type: "close", code, reason, by, last: this._buffer.next - 1, ack: this._mark(link) });
  }

  _hear(link: Link, heard: Heard, now: number): void {
    switch (heard.type) {
      case "frame":
        return this._receive(link, heard.wire, now);
      case "answered":
        if (heard.of === "post") return this._answered(link, heard.lines, now);
        if (heard.of === "poll") {
          link._polled = undefined;
          link._poll++;
        }
        // An empty body only says that a newer poll stands (POL-2); again and again, that something else answers.
        if (!heard.lines.length) return this._failed(link, heard.of, now, 200);
        link._failures = 0;
        for (const line of heard.lines) this._receive(link, line, now);
        return;
      case "refused": {
        let frame: Frame | undefined;
        try {
          frame = decode(heard.text);
        } catch {
          // A page of something between; its status says no more of the channel than silence does.
        }
        if (frame?.type !== "error") return this._failed(link, heard.of, now, heard.status);
        this._undo(link, heard.of);
        return this._error(link, frame, heard.of);
      }
      case "unanswered":
        return this._failed(link, heard.of, now, 0);
      case "lost":
        if (heard.code === 1012) this._drain(link, RESTART);
        else this._drop(link, heard.reason);
    }
  }

  /** The request is repeated with the same content, and what has come up since (SND-1, POL-2). */
  _failed(link: Link, of: Request, now: number, status: number): void {
    // A poll that was cut after a while: something on the way does not hold that long.
    const held = now - (link._polled ?? now);
    if (of === "poll" && status !== 200 && held > 2) this._hold = Math.max(5, Math.floor(held / 2));
    this._undo(link, of);
    if (of === "open" || ++link._failures >= PATIENCE) this._drop(link, status ? "HTTP " + status : "no answer");
  }

  /** Puts back what a request took along. */
  _undo(link: Link, of: Request): void {
    if (of === "poll") link._polled = undefined;
    if (of !== "post" || !link._post) return;
    const { _next, _acked, _closed, _control } = link._post;
    link._next = _next;
    link._acked = _acked;
    link._closed = _closed;
    link._control.unshift(..._control);
    link._post = undefined;
    link._again = true;
  }

  /** The answer to a POST: the marks, how the downlink does, and what the frames caused (SND-2). */
  _answered(link: Link, lines: readonly string[], now: number): void {
    const frames = lines.map(decode);
    const [first] = frames;
    if (first?.type !== "ack" || first.received === undefined) throw new ProtocolError("bad_frame", "a POST was answered without marks");
    link._post = undefined;
    if (this._beyond(first.received)) return this._foreign();
    link._next = Math.min(link._next, first.received + 1);
    link._failures = 0;
    for (const frame of frames) if (this._links.has(link)) this._handle(link, frame, now, "post");
    if (link.carrier !== "sse" || !this._links.has(link)) return;
    if (first.attached === false) this._drop(link, "detached");
    // A stream that is written to and brings nothing is held up by something on the way.
    else if (first.sent! > this._cursor.received) link._until = Math.min(link._until, now + MUTE);
  }

  /** A frame of the downlink. */
  _receive(link: Link, wire: string | ArrayBuffer | Uint8Array, now: number): void {
    if (!this._links.has(link)) return;
    this._heard = typeof wire === "string" ? wire.length : wire.byteLength;
    this._handle(link, decode(wire), now, "open");
    link._until = link._state === "opening" ? Infinity : now + 2 * this.timings.heartbeat + 5;
  }

  _handle(link: Link, frame: Frame, now: number, of: Request): void {
    const opening = link._state === "opening";
    switch (frame.type) {
      case "opened":
        if (!opening) break;
        return this._opened(link, frame);
      case "error":
        return this._error(link, frame, of);
      case "drain":
        return this._drain(link, frame.retry_in);
      case "ping":
        return this._to(link, { ...frame, type: "pong" });
      case "pong":
        return;
      case "close":
        // In the place of `opened`: the session was over before (CLS-5).
        if (!this._settle(frame.ack)) return;
        this._theirs = frame;
        return this._over(link, opening);
      case "reset": {
        // What is held was not lost, though its ack may have been (RES-4).
        const [first, last = 0] = frame.lost ?? [];
        const next = Math.max(first ?? 1, this._cursor.received + 1);
        return this._reset({ ...frame, lost: frame.lost && (next > last ? [] : [next, last]) });
      }
    }
    if (opening) throw new ProtocolError("bad_frame", "data before opened");
    switch (frame.type) {
      case "data":
        if (this._settle(frame.ack)) this._take(link, frame.seq, frame.messages, now);
        return;
      case "bytes":
        if (this._settle(frame.ack)) this._take(link, frame.number, [frame.data], now);
        return;
      case "ack":
        this._settle(frame.ack);
        return;
      case "renew":
        this._events.push({ type: "renew", within: frame.within ?? 0 });
        return;
    }
    throw new ProtocolError("bad_frame", "not a frame of a server");
  }

  _opened(link: Link, frame: OpenedFrame): void {
    const { verdict } = frame;
    if (
      frame.attach !== link.attach ||
      frame.client !== this.client ||
      (verdict === "resumed" ? !link._resuming : !frame.session || (verdict === "reset" ? !frame.reset : link._resuming))
    )
      throw new ProtocolError("bad_frame", "opened is the answer to another open");
    if (frame.reset && verdict === "reset") this._reset(frame.reset, link);
    if (this._beyond(frame.received, frame.handled)) return this._foreign();
    link._state = step(ATTACH, link._state, "opened");
    link._token = frame.session;
    link._next = frame.received + 1;
    this._epoch = frame.epoch;
    this.limits = { ...LIMITS, ...frame.limits };
    this.timings = { ...TIMINGS, ...frame.timings };
    const replayed = verdict === "resumed" ? Math.max(0, frame.sent - this._cursor.received) : 0;
    if (replayed) this._replay = frame.sent;
    this._events.push({ type: "opened", link, verdict: verdict === "resumed" ? verdict : "new", id: frame.id, replayed });
    this._settle(frame.handled);
    // The server's limit may be below the one that these were checked against.
    for (const tag of this._buffer.refuse(this.limits.message)) this._reject(tag);
  }

  /** The server takes no message of this size: a skip stands in its place (DAT-5). */
  _reject(tag: Tag | undefined): void {
    if (tag !== undefined) this._events.push({ type: "rejected", tag, code: "too_large", fate: "not_handled" });
  }

  /** Messages of the downlink from `seq` on; repetitions are passed over (NUM-3). */
  _take(link: Link, seq: number, messages: readonly unknown[], now: number): void {
    const known = this._cursor.take(seq, messages.length);
    if (known === undefined) throw new ProtocolError("gap", "messages are missing");
    const fresh = messages.slice(known);
    if (!fresh.length) return;
    this._unacked += this._heard;
    // What each takes in memory is not known; its share of the frame is near enough for a bound.
    const size = this._heard / messages.length;
    fresh.forEach((data, index) =>
      this._events.push({ type: "message", data, recovered: seq + known + index <= this._replay, size }),
    );
    const { window_messages, window_bytes } = this.limits;
    const quarter = this._cursor.received - link._acked >= window_messages / 4 || this._unacked >= window_bytes / 4;
    // A poll takes the mark along by itself.
    if (link.carrier === "sse") this._ackAt = Math.min(this._ackAt, quarter ? now : now + ACK_DELAY);
    this._over(link, false);
  }

  /** Marks above what was ever put on a wire: the server speaks of another session (MRK-5). */
  _beyond(...marks: readonly number[]): boolean {
    return marks.some((mark) => mark >= this._buffer.next);
  }

  /** All up to `mark` was handled. False: it was a foreign mark, and the session is gone. */
  _settle(mark: number): boolean {
    if (this._beyond(mark)) {
      this._foreign();
      return false;
    }
    for (const { _tag: tag } of this._buffer.ack(mark)) if (tag !== undefined) this._events.push({ type: "settled", tag });
    return true;
  }

  _foreign(): void {
    this._reset({ reason: "foreign", lost: null, handled: null, in_hand: null });
  }

  /** What became of each unacknowledged send (RES-3). */
  _fates(handled: number | null, inHand: number | null): Send<Tag>[] {
    const { _entries: entries, first, next } = this._buffer;
    return entries.flatMap(({ _tag: tag }, index): Send<Tag>[] => {
      const number = first + index;
      if (tag === undefined) return [];
      if (number >= next) return [{ tag, fate: "not_handled" }];
      if (handled === null) return [{ tag, fate: "unknown" }];
      if (number <= handled) return [{ tag, fate: "handled" }];
      return [{ tag, fate: number > (inHand ?? Infinity) ? "not_handled" : "unknown" }];
    });
  }

  /** The session is over, a new one begins: in the `opened` of `heir`, or with the next open (RES-2, RES-4, RES-6). */
  _reset({ reason, lost, handled, in_hand }: Loss, heir?: Link): void {
    this._events.push({ type: "reset", reason, lost, handled, sends: this._fates(handled, in_hand) });
    this._buffer = new SendBuffer();
    this._cursor = new ReceiveCursor();
    this._replay = this._confirmed = this._refused = 0;
    this._ackAt = Infinity;
    this._token = this._epoch = this._theirs = undefined;
    if (heir) heir._acked = 0;
    else this._nonce = undefined;
    for (const link of this._links) if (link !== heir) this._drop(link, "reset");
  }

  _drop(link: Link, reason: string, retry_in = 0): void {
    this._links.delete(link);
    this._events.push({ type: "drop", link, reason, retry_in });
  }

  _drain(link: Link, retry_in: number): void {
    this._events.push({ type: "drain", retry_in });
    this._drop(link, "drain");
  }

  _error(link: Link, frame: ErrorFrame, of: Request): void {
    const { code, message, number, expected, attach = 0, client = this.client, retry_in } = frame;
    if (code === "too_large" && number) {
      // Only that message is refused; all behind it was dropped unread (DAT-4, DAT-5).
      this._reject(this._buffer.skip(number));
      link._next = Math.min(link._next, number);
    } else if (code === "gap" && expected && of === "post" && ++link._failures < PATIENCE) {
      if (this._beyond(expected - 1)) this._foreign();
      else link._next = expected;
    } else if (code === "superseded") {
      this._attaches = Math.max(this._attaches, attach);
      if (client !== this.client && (this._token || ++this._refused > PATIENCE)) {
        this._events.push({ type: "superseded", attach, client, sends: this._fates(null, null) });
        this._leave();
      } else this._drop(link, code);
    } else {
      const closing = FATAL.get(code);
      if (closing) this._end({ code: closing, reason: `${code}: ${message}`, by: "protocol" }, null, false);
      else this._drop(link, code, retry_in);
    }
  }

  /** Ends the session where the server's `close` and everything up to its `last` are here (CLS-4). */
  _over(link: Link, anyway: boolean): void {
    const close = this._theirs;
    if (!close) return;
    const { received } = this._cursor;
    if (received < close.last && !anyway) return;
    this._buffer.cut();
    // The last word, though a POST may be in flight: its answer tells nothing any more.
    link._post = undefined;
    if (!link._closed && !anyway) link._control.push(this._closing(link, close));
    else if (link._acked < received && !anyway) link._control.push(this._ack(link));
    this._end(close, close.ack, received >= close.last, close.in_hand);
  }

  _end({ code, reason, by }: Pick<CloseFrame, "code" | "reason" | "by">, handled: number | null, clean: boolean, inHand = handled): void {
    this._events.push({ type: "closed", code, reason, by, clean, sends: this._fates(handled, inHand) });
    this._leave();
  }

  /** Nothing more goes out but what stands in a link's control frames. */
  _leave(): void {
    this._ours = { code: 1000, reason: "", by: "app" };
    this._buffer = new SendBuffer();
    this._links.clear();
  }
}
