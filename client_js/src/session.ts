// The client's half of a session (PROTOCOL.md): numbers, marks, attaches, verdicts, close. Pure: what is
// heard and `now` (seconds of a monotonic clock) go in; what is to be written, events and the next deadline
// come out.
//
// A session outlives its links; a link is one attach over one connection. For each, the driver calls
// `_attach`, then after every input `_transmit` (write what it answers) and `_deadline` (call `_tick` then).
import { SendBuffer } from "./buffer.ts";
import { bad, decode, encodeBinary, encodeBytes, encodeControl, encodeData, encodeMessage } from "./codec.ts";
import type { Wire } from "./codec.ts";
import { ChannelError, FATAL } from "./errors.ts";
import type { Fate } from "./errors.ts";
import type { TransportName } from "./fallback.ts";
import { LIMITS, TIMINGS } from "./frames.ts";
import type { CloseFrame, ErrorFrame, Frame, Limits, Loss, OpenFrame, OpenedFrame, SendFrame, Timings } from "./frames.ts";
import type { AttachState } from "./states.ts";

/** A request on its way. WebSocket has none, SSE one POST at most (SND-1), long poll also one poll. */
export type Request = "open" | "post" | "poll";

/** What is to be written: WebSocket messages, or the lines of one request's body. */
export interface Out {
  readonly _type: "frame" | Request;
  readonly _wires: readonly Wire[];
}

/** What a connection reports. */
export type Heard =
  /** A WebSocket message, or the data of an event. */
  | { readonly _type: "frame"; readonly _of?: undefined; readonly _wire: string | ArrayBuffer }
  /** The answer to a request; `status` 0: there was none, or not in time. */
  | { readonly _type: "answer"; readonly _of: Request; readonly _status: number; readonly _text: string; readonly _retryIn?: number }
  /** The connection ended; `code` is the WebSocket's. */
  | { readonly _type: "lost"; readonly _of?: undefined; readonly _reason: string; readonly _code?: number };

export interface Send<Tag> {
  readonly _tag: Tag;
  readonly _fate: Fate;
}

/** As its listener sees it. */
export interface Message {
  readonly data: unknown;
  readonly recovered: boolean;
}

export type Closing = Pick<CloseFrame, "code" | "reason" | "by">;

/** `sends` tells what became of everything unacknowledged (RES-3). */
export type Event<Tag> =
  | { readonly _type: "opened"; readonly _link: Link; readonly _resumed: boolean; readonly _id: string; readonly _replayed: number }
  | { readonly _type: "message"; readonly _message: Message }
  | { readonly _type: "settled"; readonly _tag: Tag }
  /** The server takes no message of this size (DAT-5). */
  | { readonly _type: "rejected"; readonly _tag: Tag }
  | { readonly _type: "reset"; readonly _loss: Loss; readonly _sends: readonly Send<Tag>[] }
  | { readonly _type: "renew"; readonly _within: number }
  /** `clean`: everything up to the server's `last` was received. */
  | { readonly _type: "closed"; readonly _closing: Closing; readonly _clean: boolean; readonly _sends: readonly Send<Tag>[] }
  /** The link is over; the session goes on over the next, after `retryIn` where it is given. Reason `drain`: DRN-1. */
  | { readonly _type: "drop"; readonly _link: Link; readonly _reason: string; readonly _retryIn: number };

/** One attach over one connection. */
export interface Link {
  readonly _attach: number;
  readonly _carrier: TransportName;
  _state: AttachState;
  readonly _open: string;
  /** The next uplink number to write here. */
  _next: number;
  /** The downlink mark that was last written here. */
  _acked: number;
  /** Our `close` was written here. */
  _closed?: boolean;
  /** Control frames to write. */
  _control: string[];
  /** What the POST in flight took along: put back where it gets no answer. */
  _post?: { readonly _next: number; readonly _control: readonly string[] } | undefined;
  /** The number of the poll, and whether it is in flight (POL-1). */
  _poll: number;
  _polling?: boolean;
  _polledAt: number;
  /** Requests in a row that failed, by kind: that the one gets through says nothing of the other. */
  readonly _failures: { [Of in Request]: number };
  /** Silence until then ends the link (LIV-2). */
  _until: number;
  /** What the server says that it wrote here (SND-2). */
  _sent?: number | undefined;
}

/** Requests that may fail in a row before the link is given up; so often another client may come first (ATT-5). */
const PATIENCE = 3;
/** How long an `ack` waits for company, in seconds (MRK-6); a poll takes it along by itself. */
const ACK_DELAY: { readonly [Name in TransportName]: number } = { websocket: 0, sse: 0.1, longpoll: Infinity };
/** Seconds between two that have none. */
const ACK_EVERY = 0.1;
/** Seconds that a stream may stay mute once the server says that it wrote to it (SND-2). */
const MUTE = 5;
/** The `retry_in` of a server that goes without a word, by WebSocket close 1012 (DRN-1). */
const RESTART = 2;

export class Session<Tag> {
  _client: string;
  _limits: Limits = LIMITS;
  _timings: Timings = TIMINGS;
  _buffer = new SendBuffer<Tag>();
  /** Mints ids of >= 128 random bits (OPN-3). */
  _mint: () => string;
  _nonce: string | undefined;
  _token: string | undefined;
  _epoch: string | undefined;
  _id: string | undefined;
  _attaches = 0;
  /** The highest attach that was confirmed: the one that sends (ATT-3). */
  _confirmed = 0;
  /** Up to this attach, credentials that are refused may have expired, and are asked for once more (REN-1). */
  _renewable = 0;
  /** Seconds for which polls are asked to be held, where something cuts them (POL-3). */
  _hold = Infinity;
  /** How often another client stood in the way of the first confirmation (ATT-5). */
  _refused = 0;
  _links = new Set<Link>();
  /** The highest downlink number that was held in order (MRK-1). */
  _received = 0;
  /** What arrives at or below it is a replay (OPN-6). */
  _replay = 0;
  /** When a lone `ack` is due, and which part of the window it will free (MRK-6). */
  _ackAt = Infinity;
  _unacked = 0;
  /** Before which none is due. */
  _ackAfter = 0;
  /** The `close` that the application asked for, and the server's. */
  _ours: Closing | undefined;
  _theirs: CloseFrame | undefined;
  _events: Event<Tag>[] = [];

  constructor(client: string, mint: () => string) {
    this._client = client;
    this._mint = mint;
  }

  /** Mints the next attach (ATT-1). */
  _attach(carrier: TransportName, credentials?: unknown): Link {
    const attach = ++this._attaches;
    const received = this._received;
    const open: OpenFrame = {
      type: "open",
      versions: [1],
      client: this._client,
      nonce: (this._nonce ??= this._mint()),
      attach,
      received,
      first_retained: this._buffer._first,
      // JSON leaves out what is undefined.
      session: this._token!,
      epoch: this._epoch!,
      credentials,
    };
    const link: Link = {
      _attach: attach,
      _carrier: carrier,
      _state: "fresh",
      _open: encodeControl(open),
      _next: 1,
      _acked: received,
      _control: [],
      _poll: 1,
      _polledAt: 0,
      _failures: { open: 0, post: 0, poll: 0 },
      _until: Infinity,
    };
    this._links.add(link);
    return link;
  }

  /** Takes a message; raises `ChannelError` for what cannot be sent (DAT-3, DAT-4), or once it is closing. */
  _send(message: unknown, tag: Tag): void {
    if (this._ours || this._theirs) throw new ChannelError("closed", "the channel is closed");
    this._buffer._entries.push({ ...encodeMessage(message, this._limits), _tag: tag });
  }

  /** No message follows: what was sent before is still brought over, then the close (CLS-2). */
  _close(code: number, reason: string): void {
    this._ours ??= { code, reason, by: "app" };
  }

  /** Answers a `renew` (REN-1). */
  _renew(credentials: unknown): void {
    // JSON would leave out what is undefined: the server may look at cookies instead.
    for (const link of this._links) link._control.push(encodeControl({ type: "renew", credentials: credentials ?? null }));
  }

  /** Whether the link stands is to be seen: it must bring something until then. */
  _probe(link: Link, until: number): void {
    link._until = until;
    if (link._carrier === "websocket") link._control.push(encodeControl({ type: "ping" }));
  }

  /**
   * What the server may lack, as a POST of a page that goes: it may go beside what is in flight on any link, as
   * repetitions are dropped (NUM-3), and where this one has ended already (ATT-7).
   */
  _farewell(link: Link): readonly Wire[] {
    const first = encodeControl({ type: "send", ...this._head(link) });
    link._next = this._ackAt = 0;
    link._acked = -1;
    const { _links: links } = this;
    this._links = new Set([link]);
    const wires = this._fill(link, 0, first);
    this._links = links;
    return [first, ...wires];
  }

  /** Ends the session from this side alone, without a word to the server. */
  _abandon(code: number, reason: string): Event<Tag>[] {
    this._end({ code, reason, by: "protocol" });
    return this._events.splice(0);
  }

  /** When to call `_tick`. */
  get _deadline(): number {
    return Math.min(
      ...[...this._links].flatMap((link) => [
        link._until,
        ...(this._leads(link) ? [link._post ? Infinity : this._ackAt, (!link._polling && this._pollAt(link)) || Infinity] : []),
      ]),
    );
  }

  /** Time has passed: drops what is silent (LIV-2). */
  _tick(now: number): Event<Tag>[] {
    for (const link of this._links) if (now >= link._until) this._drop(link, link._sent! > this._received ? "mute" : "silent");
    return this._events.splice(0);
  }

  /** The connection of `link` reports. */
  _hear(link: Link, heard: Heard, now: number): Event<Tag>[] {
    try {
      // What is late tells nothing any more.
      if (!this._links.has(link)) return [];
      if (heard._type === "frame") this._receive(link, heard._wire, now);
      else if (heard._type === "answer") this._answered(link, heard, now);
      else if (heard._code === 1012) this._drop(link, "drain", RESTART);
      else this._drop(link, heard._reason);
    } catch {
      // Whatever a malformed frame made fail, it has had no effect (FRM-4); the next attach starts from the marks.
      this._drop(link, "bad_frame");
    }
    return this._events.splice(0);
  }

  /** All that is to be written on `link` now. */
  _transmit(link: Link, now: number): Out[] {
    const { _carrier: carrier, _attach: attach } = link;
    if (link._state === "fresh") {
      link._state = "opening";
      return [{ _type: "open", _wires: [link._open] }];
    }
    const out: Out[] = [];
    if (link._state === "opening") return out;
    const confirms = attach > this._confirmed && this._links.has(link);
    // What is due on an earlier link may not be on this one, and what that took along may be lost.
    if (confirms) [this._confirmed, this._ackAt] = [attach, link._acked < this._received ? 0 : Infinity];
    if (carrier === "websocket") {
      const wires = confirms ? [this._ack(link)] : ([] as Wire[]);
      // Frame by frame: what one pass writes would fit one body.
      for (let part; (part = this._fill(link, now)).length; ) wires.push(...part);
      return wires.length ? [{ _type: "frame", _wires: wires }] : out;
    }
    const head = this._head(link);
    // Polls that are hardly held come one in a second.
    if (carrier === "longpoll" && !link._polling && this._leads(link) && now >= this._pollAt(link)) {
      link._polling = true;
      link._polledAt = now;
      out.push({ _type: "poll", _wires: [encodeControl({ type: "poll", ...head, poll: link._poll, ack: this._mark(link), ...(this._hold < 60 && { hold: this._hold }) })] });
    }
    if (!link._post) {
      const post = { _next: link._next, _control: link._control };
      const first = encodeControl({ type: "send", ...head });
      const wires = this._fill(link, now, first);
      // A first poll confirms as well as a POST does (ATT-3).
      if (wires.length || (confirms && !link._polling)) {
        link._post = post;
        out.push({ _type: "post", _wires: [first, ...wires] });
      }
    }
    return out;
  }

  /** What every request says of its session. */
  _head({ _attach: attach }: Link): Omit<SendFrame, "type"> {
    return { session: this._token!, client: this._client, attach, epoch: this._epoch! };
  }

  /** The newest confirmed attach has the session: only it carries data and acks (ATT-3). */
  _leads(link: Link): boolean {
    return link._attach === this._confirmed && this._links.has(link);
  }

  _pollAt(link: Link): number {
    return link._carrier === "longpoll" && this._hold < 1 ? link._polledAt + 1 : 0;
  }

  /** The mark of the downlink, on its way over `link`. */
  _mark(link: Link): number {
    this._ackAt = Infinity;
    this._unacked = 0;
    return (link._acked = this._received);
  }

  _ack(link: Link): string {
    return encodeControl({ type: "ack", ack: this._mark(link) });
  }

  /**
   * Control frames, data, our `close`, and an `ack` that is due: as many as fit one body, on HTTP behind its
   * `first` line.
   */
  _fill(link: Link, now: number, first = ""): Wire[] {
    const { _limits: limits, _buffer: buffer } = this;
    const wires: Wire[] = [...link._control];
    link._control = [];
    if (!this._leads(link)) return wires;
    // What was acknowledged in the meantime is not written again.
    let next = Math.max(link._next, buffer._first);
    let room = limits.body - first.length - wires.join().length;
    let texts: string[] = [];
    const flush = (): void => {
      if (texts.length) wires.push(encodeData(next - texts.length, this._mark(link), texts));
      texts = [];
    };
    for (let entry; (entry = buffer._peek(next, limits)); next++) {
      const { _body: body } = entry;
      // What it takes at most: base64, and a frame around it.
      room -= entry._size * 1.34 + 99;
      const count = texts.length + wires.length;
      // A body also has a first line, and perhaps `close` and `ack`. It holds any one message (section 12).
      if (count && (room < 0 || count + (first ? 3 : 0) >= limits.batch)) break;
      buffer._number(next, entry);
      if (typeof body === "string" && !entry._skip) texts.push(body);
      else {
        flush();
        const ack = this._mark(link);
        wires.push(
          entry._skip
            ? encodeControl({ type: "skip", number: next, ack })
            : (first ? encodeBytes : encodeBinary)(next, ack, body as Uint8Array),
        );
      }
    }
    flush();
    link._next = next;
    if (this._ours && !link._closed && next === buffer._first + buffer._entries.length) wires.push(this._last(link, this._ours));
    if (link._acked < this._received && now >= this._ackAt) {
      this._ackAfter = now + ACK_EVERY;
      wires.push(this._ack(link));
    }
    return wires;
  }

  /** Our `close`, as asked for or in answer to the server's (CLS-1, CLS-3). */
  _last(link: Link, { code, reason, by }: Closing): string {
    link._closed = true;
    return encodeControl({ type: "close", code, reason, by, last: this._buffer._next - 1, ack: this._mark(link) });
  }

  _answered(link: Link, { _of: of, _status: status, _text: text, _retryIn: retryIn = 0 }: Heard & { _type: "answer" }, now: number): void {
    const { _post: post } = link;
    const lines = text.split("\n").filter(Boolean);
    const ok = status === 200;
    if (of === "post") link._post = undefined;
    if (of === "poll") {
      const held = now - link._polledAt;
      link._polling = false;
      // An empty one says that a newer poll stands (POL-2).
      if (ok) link._poll++;
      // Something cuts polls that are held for so long: shorter ones, and slowly longer ones again.
      if (ok) this._hold *= 1.05;
      else if (held > 1 && this._hold) this._hold = held / 2;
    }
    if (ok && lines[0]) {
      link._failures[of] = 0;
      for (const line of lines)
        // The answer to a POST is no sign of life of the downlink.
        if (of === "post") this._handle(link, decode(line), now);
        else this._receive(link, line, now);
      return;
    }
    if (of === "post" && post) {
      // What it took along is put back; its marks are due again.
      link._next = post._next;
      link._control.unshift(...post._control);
      link._closed = false;
      link._acked = -1;
      this._ackAt = 0;
    }
    // Anything else is of something between: it says no more of the channel than silence does.
    if (/^{.*"type":"error"/.test(lines[0]!)) return this._handle(link, decode(lines[0]!), now);
    // A poll that nobody answered was the connection, as a stream that ends. Else the request is repeated with the
    // same content, and what has come up since (SND-1, POL-2).
    if ((of === "poll" && !status) || of === "open" || retryIn || ++link._failures[of] >= PATIENCE)
      this._drop(link, ok ? "ended" : status ? "HTTP " + status : "no answer", retryIn);
  }

  /** A frame of the downlink. */
  _receive(link: Link, wire: string | ArrayBuffer, now: number): void {
    this._handle(link, decode(wire), now, typeof wire === "string" ? wire.length : wire.byteLength);
    if (link._state === "open") link._until = now + 2 * this._timings.heartbeat + 5;
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
      case "close":
        if (this._isForeign(frame.ack)) return;
        this._settle(frame.ack);
        this._theirs = frame;
        // In the place of `opened`: the session was over before (CLS-5).
        return this._over(link, opening);
      case "reset":
        return this._reset(frame);
      case "renew":
        this._events.push({ _type: "renew", _within: frame.within! });
        return;
      case "opened":
        return this._opened(link, frame);
      case "ack":
      case "data":
        if (opening) throw bad();
        if (this._isForeign(frame.ack) || (frame.type === "ack" && this._isForeign(frame.received!))) return;
        // Refused, a frame has no effect at all (FRM-4).
        if (frame.type === "data" && frame._seq > this._received + 1) return this._drop(link, "gap");
        this._settle(frame.ack);
        if (frame.type === "data") return this._take(link, frame, now, size);
        // The answer to a POST (SND-2).
        if (frame.received! < link._next) link._next = frame.received! + 1;
        if (link._carrier !== "sse") return;
        if (frame.attached === false) this._drop(link, "detached");
        // A stream that is written to and brings nothing is held up by something on the way.
        else if ((link._sent = frame.sent)! > this._received) link._until = Math.min(link._until, now + MUTE);
    }
  }

  _opened(link: Link, frame: OpenedFrame): void {
    // The last: of opens that race, one came to a server that did not know of the other (OPN-4).
    if (
      link._state !== "opening" ||
      frame.attach !== link._attach ||
      frame.client !== this._client ||
      (this._token && !frame.reset && frame.id !== this._id)
    )
      throw bad();
    if (frame.reset) this._reset(frame.reset, link);
    const { received = 0, handled } = frame;
    if (this._isForeign(Math.max(received, handled))) return;
    const resumed = frame.verdict === "resumed";
    link._state = "open";
    this._renewable = Infinity;
    this._id = frame.id;
    // Kept from now on: what comes behind this on a link that ends before it is confirmed is of this session too.
    // A later session needs a new nonce (OPN-3).
    if (!this._token) {
      this._token = frame.session;
      this._nonce = undefined;
    }
    link._next = received + 1;
    this._epoch = frame.epoch;
    this._limits = { ...LIMITS, ...frame.limits };
    this._timings = { ...TIMINGS, ...frame.timings };
    this._replay = resumed ? frame.sent : 0;
    this._events.push({
      _type: "opened",
      _link: link,
      _resumed: resumed,
      _id: frame.id,
      _replayed: Math.max(0, this._replay - this._received),
    });
    this._settle(handled);
    // The server's limit may be below the one that these were checked against.
    const { _entries: entries, _first: first, _next: next } = this._buffer;
    for (let number = next; number < first + entries.length; number++)
      if (entries[number - first]!._size > this._limits.message) this._skip(number);
  }

  /** The server takes no message of this size: a `skip` stands in its place (DAT-5). */
  _skip(number: number): void {
    const entry = this._buffer._entries[number - this._buffer._first];
    if (!entry || entry._skip) return;
    if (entry._tag) this._events.push({ _type: "rejected", _tag: entry._tag });
    entry._tag = undefined;
    entry._skip = true;
  }

  /** Messages of the downlink; repetitions are passed over (NUM-3). `size`: of their frame. */
  _take(link: Link, { _seq: seq, _messages: messages }: Frame & { type: "data" }, now: number, size: number): void {
    const fresh = messages.slice(this._received + 1 - seq);
    if (!fresh.length) return;
    for (const data of fresh) this._events.push({ _type: "message", _message: { data, recovered: ++this._received <= this._replay } });
    const { window_messages, window_bytes } = this._limits;
    this._unacked += fresh.length / window_messages + size / window_bytes;
    this._ackAt = Math.min(this._ackAt, this._unacked < 0.25 ? Math.max(now + ACK_DELAY[link._carrier], this._ackAfter) : now);
    this._over(link);
  }

  /**
   * Whether `mark` is above what was ever put on a wire: the server speaks of another session, and this one
   * is dropped (MRK-5, RES-6).
   */
  _isForeign(mark: number): boolean {
    const foreign = mark >= this._buffer._next;
    if (foreign) this._reset({ reason: "foreign", lost: null });
    return foreign;
  }

  /** All up to `mark` was handled (MRK-3). */
  _settle(mark: number): void {
    for (const { _tag: tag } of this._buffer._ack(mark)) if (tag !== undefined) this._events.push({ _type: "settled", _tag: tag });
  }

  /** What became of each unacknowledged send (RES-3); null is for a mark that is not known. */
  _fates(handled: number | null | undefined, inHand: number | null | undefined): Send<Tag>[] {
    const { _entries: entries, _first: first, _next: next } = this._buffer;
    return entries.flatMap(({ _tag: tag }, index) => {
      const number = first + index;
      const fate = number >= next || number > (inHand ?? Infinity) ? "not_handled" : number <= (handled ?? 0) ? "handled" : "unknown";
      return tag === undefined ? [] : [{ _tag: tag, _fate: fate }];
    });
  }

  /** The session is over, a new one begins: in the `opened` of `heir`, or with the next open (RES-2, RES-4, RES-6). */
  _reset(loss: Loss, heir?: Link): void {
    // What is held was not lost, though its ack may have been, or it came over another link since (RES-4).
    const [first = 1, last = 0] = loss.lost ?? [];
    const from = Math.max(first, this._received + 1);
    const lost = loss.lost && (from > last ? [] : [from, last]);
    this._events.push({ _type: "reset", _loss: { ...loss, lost }, _sends: this._fates(loss.handled, loss.in_hand) });
    this._buffer = new SendBuffer();
    this._received = this._confirmed = this._refused = 0;
    this._token = this._epoch = this._theirs = undefined;
    this._ackAt = Infinity;
    if (heir) heir._acked = 0;
    else this._nonce = undefined;
    for (const link of this._links) if (link !== heir) this._drop(link, "reset");
  }

  _drop(link: Link, reason: string, retryIn = 0): void {
    if (!this._links.delete(link)) return;
    this._events.push({ _type: "drop", _link: link, _reason: reason, _retryIn: retryIn });
    // Those below the confirmed one have ended, or will not carry what is sent any more (ATT-3).
    for (const older of this._links) if (older._attach < this._confirmed) this._drop(older, reason);
  }

  _error(link: Link, { code, message, number, expected, attach = 0, client = this._client, retry_in }: ErrorFrame): void {
    // No number, for a code that is the name of a member of objects.
    const closing = FATAL[code]!;
    if (code === "too_large" && number) {
      // Only that message is refused; all behind it was dropped unread (DAT-4, DAT-5).
      this._skip(number);
      link._next = Math.min(link._next, number);
    } else if (code === "gap" && expected && link._carrier !== "websocket" && ++link._failures.post < PATIENCE) {
      if (!this._isForeign(expected - 1)) link._next = expected;
    } else if (closing > 0 && !(code === "unauthorized" && (link._state === "open" || link._attach <= this._renewable))) this._end({ code: closing, reason: code + ": " + message, by: "protocol" });
    else {
      if (code === "unauthorized") this._renewable = Math.min(this._renewable, this._attaches);
      if (code === "superseded") {
        this._attaches = Math.max(this._attaches, attach);
        if (client === this._client) {
          // Another copy of this client went on.
          if (attach > this._confirmed) this._isForeign(Infinity);
        } else if (attach > (this._confirmed || attach) || ++this._refused > PATIENCE)
          return this._end({ code: 4409, reason: code + ": taken by another page", by: "protocol" });
      }
      this._drop(link, code, retry_in);
    }
  }

  /** Ends the session where the server's `close` and everything up to its `last` are here (CLS-4); `late`: CLS-5. */
  _over(link: Link, late = false): void {
    const close = this._theirs;
    const received = this._received;
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
  _end(closing: Closing, clean = false, handled?: number, inHand = handled): void {
    this._events.push({ _type: "closed", _closing: closing, _clean: clean, _sends: this._fates(handled, inHand) });
    this._ours = closing;
    this._buffer = new SendBuffer();
    this._links.clear();
  }
}
