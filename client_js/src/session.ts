// The client's half of a session (PROTOCOL.md): numbers, marks, attaches, verdicts, close. Pure: what is
// heard and `now` (seconds of a monotonic clock) go in; what is to be written, events and the next deadline
// come out.
//
// A session outlives its links; a link is one attach over one connection. For each, the driver calls
// `attach`, then after every input `transmit` (write what it answers) and `deadline` (call `tick` then).
import { SendBuffer } from "./buffer.ts";
import { bad, decode, encodeBinary, encodeBytes, encodeControl, encodeData, encodeMessage } from "./codec.ts";
import type { EncodedFrame } from "./codec.ts";
import { ChannelError, FATAL } from "./errors.ts";
import type { Fate } from "./errors.ts";
import type { TransportName } from "./fallback.ts";
import { LIMITS, TIMINGS } from "./frames.ts";
import type { CloseFrame, ErrorFrame, Frame, Limits, Loss, OpenFrame, OpenedFrame, SendFrame, Timings } from "./frames.ts";
import type { AttachState } from "./states.ts";

/** A request on its way. WebSocket has none, SSE one POST at most (SND-1), long poll also one poll. */
export type Request = "open" | "post" | "poll";

/** What is to be written: WebSocket messages, or the lines of one request's body. */
export interface Output {
  readonly type: "frame" | Request;
  readonly wires: readonly EncodedFrame[];
}

/** What a connection reports. */
export type Input =
  /** A WebSocket message, or the data of an event. */
  | { readonly type: "frame"; readonly of?: undefined; readonly wire: string | ArrayBuffer }
  /** The answer to a request; `status` 0: there was none, or not in time. */
  | { readonly type: "answer"; readonly of: Request; readonly status: number; readonly text: string; readonly retryIn?: number }
  /** The connection ended; `code` is the WebSocket's. */
  | { readonly type: "lost"; readonly of?: undefined; readonly reason: string; readonly code?: number };

export interface SendFate<Tag> {
  readonly tag: Tag;
  readonly fate: Fate;
}

/** As its listener sees it. */
export interface Message {
  readonly data: unknown;
  readonly recovered: boolean;
}

export type Closing = Pick<CloseFrame, "code" | "reason" | "by">;

/** `sends` tells what became of everything unacknowledged (RES-3). */
export type SessionEvent<Tag> =
  | { readonly type: "opened"; readonly link: Link; readonly resumed: boolean; readonly id: string; readonly replayed: number }
  | { readonly type: "message"; readonly message: Message }
  | { readonly type: "settled"; readonly tag: Tag }
  /** The server takes no message of this size (DAT-5). */
  | { readonly type: "rejected"; readonly tag: Tag }
  | { readonly type: "reset"; readonly loss: Loss; readonly sends: readonly SendFate<Tag>[] }
  | { readonly type: "renewal"; readonly within: number }
  /** `clean`: everything up to the server's `last` was received. */
  | { readonly type: "closed"; readonly closing: Closing; readonly clean: boolean; readonly sends: readonly SendFate<Tag>[] }
  /** The link is over; the session goes on over the next, after `retryIn` where it is given. Reason `drain`: DRN-1. */
  | { readonly type: "dropped"; readonly link: Link; readonly reason: string; readonly retryIn: number };

/** One attach over one connection. */
export interface Link {
  readonly attach: number;
  readonly transport: TransportName;
  state: AttachState;
  readonly opening: string;
  /** The next uplink number to write here. */
  next: number;
  /** The downlink mark that was last written here. */
  acked: number;
  /** Our `close` was written here. */
  closeWritten?: boolean;
  /** Control frames to write. */
  control: string[];
  /** What the POST in flight took along: put back where it gets no answer. */
  post?: { readonly next: number; readonly control: readonly string[] } | undefined;
  /** The number of the poll, and whether it is in flight (POL-1). */
  poll: number;
  polling?: boolean;
  polledAt: number;
  /** Requests in a row that failed, by kind: that the one gets through says nothing of the other. */
  readonly failures: { [Of in Request]: number };
  /** Silence until then ends the link (LIV-2). */
  until: number;
  /** What the server says that it wrote here (SND-2). */
  sent?: number | undefined;
}

/** Requests that may fail in a row before the link is given up; so often another client may come first (ATT-5). */
const MAX_CONSECUTIVE_FAILURES = 3;
/** How long an `ack` waits for company, in seconds (MRK-6); a poll takes it along by itself. */
const ACK_DELAY: { readonly [Name in TransportName]: number } = { websocket: 0, sse: 0.1, longpoll: Infinity };
/** Seconds between two that have none. */
const ACK_INTERVAL = 0.1;
/** Seconds that a stream may stay mute once the server says that it wrote to it (SND-2). */
const MUTE_TIMEOUT = 5;
/** The `retry_in` of a server that goes without a word, by WebSocket close 1012 (DRN-1). */
const RESTART_RETRY_IN = 2;

export class ClientSession<Tag> {
  client: string;
  _limits: Limits = LIMITS;
  timings: Timings = TIMINGS;
  buffer = new SendBuffer<Tag>();
  /** Mints ids of >= 128 random bits (OPN-3). */
  _randomId: () => string;
  _nonce: string | undefined;
  token: string | undefined;
  epoch: string | undefined;
  id: string | undefined;
  attaches = 0;
  /** The highest attach that was confirmed: the one that sends (ATT-3). */
  confirmed = 0;
  /** Up to this attach, credentials that are refused may have expired, and are asked for once more (REN-1). */
  renewable = 0;
  /** Seconds for which polls are asked to be held, where something cuts them (POL-3). */
  hold = Infinity;
  /** How often another client stood in the way of the first confirmation (ATT-5). */
  _refused = 0;
  links = new Set<Link>();
  /** The highest downlink number that was held in order (MRK-1). */
  received = 0;
  /** What arrives at or below it is a replay (OPN-6). */
  replay = 0;
  /** When a lone `ack` is due, and which part of the window it will free (MRK-6). */
  _ackAt = Infinity;
  _unacked = 0;
  /** Before which none is due. */
  _ackAfter = 0;
  /** The `close` that the application asked for, and the server's. */
  ours: Closing | undefined;
  theirs: CloseFrame | undefined;
  _events: SessionEvent<Tag>[] = [];

  constructor(client: string, randomId: () => string) {
    this.client = client;
    this._randomId = randomId;
  }

  /** Mints the next attach (ATT-1). */
  attach(transport: TransportName, credentials?: unknown): Link {
    const attach = ++this.attaches;
    const received = this.received;
    const open: OpenFrame = {
      type: "open",
      versions: [1],
      client: this.client,
      nonce: (this._nonce ??= this._randomId()),
      attach,
      received,
      first_retained: this.buffer.first,
      // JSON leaves out what is undefined.
      session: this.token!,
      epoch: this.epoch!,
      credentials,
    };
    const link: Link = {
      attach,
      transport,
      state: "fresh",
      opening: encodeControl(open),
      next: 1,
      acked: received,
      control: [],
      poll: 1,
      polledAt: 0,
      failures: { open: 0, post: 0, poll: 0 },
      until: Infinity,
    };
    this.links.add(link);
    return link;
  }

  /** Takes a message; raises `ChannelError` for what cannot be sent (DAT-3, DAT-4), or once it is closing. */
  send(message: unknown, tag: Tag): void {
    if (this.ours || this.theirs) throw new ChannelError("closed", "the channel is closed");
    this.buffer.entries.push({ ...encodeMessage(message, this._limits), tag });
  }

  /** No message follows: what was sent before is still brought over, then the close (CLS-2). */
  close(code: number, reason: string): void {
    this.ours ??= { code, reason, by: "app" };
  }

  /** Answers a `renew` (REN-1). */
  renew(credentials: unknown): void {
    // JSON would leave out what is undefined: the server may look at cookies instead.
    for (const link of this.links) link.control.push(encodeControl({ type: "renew", credentials: credentials ?? null }));
  }

  /** Whether the link stands is to be seen: it must bring something until then. */
  probe(link: Link, until: number): void {
    link.until = until;
    if (link.transport === "websocket") link.control.push(encodeControl({ type: "ping" }));
  }

  /**
   * What the server may lack, as a POST of a page that goes: it may go beside what is in flight on any link, as
   * repetitions are dropped (NUM-3), and where this one has ended already (ATT-7).
   */
  finalPost(link: Link): readonly EncodedFrame[] {
    const first = encodeControl({ type: "send", ...this._head(link) });
    link.next = this._ackAt = 0;
    link.acked = -1;
    const { links } = this;
    this.links = new Set([link]);
    const wires = this._fill(link, 0, first);
    this.links = links;
    return [first, ...wires];
  }

  /** Ends the session from this side alone, without a word to the server. */
  abandon(code: number, reason: string): SessionEvent<Tag>[] {
    this._end({ code, reason, by: "protocol" });
    return this._events.splice(0);
  }

  /** When to call `tick`. */
  get deadline(): number {
    return Math.min(
      ...[...this.links].flatMap((link) => [
        link.until,
        ...(this._leads(link) ? [link.post ? Infinity : this._ackAt, (!link.polling && this._pollAt(link)) || Infinity] : []),
      ]),
    );
  }

  /** Time has passed: drops what is silent (LIV-2). */
  tick(now: number): SessionEvent<Tag>[] {
    for (const link of this.links) if (now >= link.until) this._drop(link, link.sent! > this.received ? "mute" : "silent");
    return this._events.splice(0);
  }

  /** The connection of `link` reports. */
  handleInput(link: Link, heard: Input, now: number): SessionEvent<Tag>[] {
    try {
      // What is late tells nothing any more.
      if (!this.links.has(link)) return [];
      if (heard.type === "frame") this._receive(link, heard.wire, now);
      else if (heard.type === "answer") this._answered(link, heard, now);
      else if (heard.code === 1012) this._drop(link, "drain", RESTART_RETRY_IN);
      else this._drop(link, heard.reason);
    } catch {
      // Whatever a malformed frame made fail, it has had no effect (FRM-4); the next attach starts from the marks.
      this._drop(link, "bad_frame");
    }
    return this._events.splice(0);
  }

  /** All that is to be written on `link` now. */
  transmit(link: Link, now: number): Output[] {
    const { transport, attach } = link;
    if (link.state === "fresh") {
      link.state = "opening";
      return [{ type: "open", wires: [link.opening] }];
    }
    const out: Output[] = [];
    if (link.state === "opening") return out;
    const confirms = attach > this.confirmed && this.links.has(link);
    // What is due on an earlier link may not be on this one, and what that took along may be lost.
    if (confirms) [this.confirmed, this._ackAt] = [attach, link.acked < this.received ? 0 : Infinity];
    if (transport === "websocket") {
      const wires = confirms ? [this._ack(link)] : ([] as EncodedFrame[]);
      // Frame by frame: what one pass writes would fit one body.
      for (let part; (part = this._fill(link, now)).length; ) wires.push(...part);
      return wires.length ? [{ type: "frame", wires }] : out;
    }
    const head = this._head(link);
    // Polls that are hardly held come one in a second.
    if (transport === "longpoll" && !link.polling && this._leads(link) && now >= this._pollAt(link)) {
      link.polling = true;
      link.polledAt = now;
      out.push({ type: "poll", wires: [encodeControl({ type: "poll", ...head, poll: link.poll, ack: this._mark(link), ...(this.hold < 60 && { hold: this.hold }) })] });
    }
    if (!link.post) {
      const post = { next: link.next, control: link.control };
      const first = encodeControl({ type: "send", ...head });
      const wires = this._fill(link, now, first);
      // A first poll confirms as well as a POST does (ATT-3).
      if (wires.length || (confirms && !link.polling)) {
        link.post = post;
        out.push({ type: "post", wires: [first, ...wires] });
      }
    }
    return out;
  }

  /** What every request says of its session. */
  _head({ attach }: Link): Omit<SendFrame, "type"> {
    return { session: this.token!, client: this.client, attach, epoch: this.epoch! };
  }

  /** The newest confirmed attach has the session: only it carries data and acks (ATT-3). */
  _leads(link: Link): boolean {
    return link.attach === this.confirmed && this.links.has(link);
  }

  _pollAt(link: Link): number {
    return link.transport === "longpoll" && this.hold < 1 ? link.polledAt + 1 : 0;
  }

  /** The mark of the downlink, on its way over `link`. */
  _mark(link: Link): number {
    this._ackAt = Infinity;
    this._unacked = 0;
    return (link.acked = this.received);
  }

  _ack(link: Link): string {
    return encodeControl({ type: "ack", ack: this._mark(link) });
  }

  /**
   * Control frames, data, our `close`, and an `ack` that is due: as many as fit one body, on HTTP behind its
   * `first` line.
   */
  _fill(link: Link, now: number, first = ""): EncodedFrame[] {
    const { _limits: limits, buffer } = this;
    const wires: EncodedFrame[] = [...link.control];
    link.control = [];
    if (!this._leads(link)) return wires;
    // What was acknowledged in the meantime is not written again.
    let next = Math.max(link.next, buffer.first);
    let room = limits.body - first.length - wires.join().length;
    let texts: string[] = [];
    const flush = (): void => {
      if (texts.length) wires.push(encodeData(next - texts.length, this._mark(link), texts));
      texts = [];
    };
    for (let entry; (entry = buffer.peek(next, limits)); next++) {
      const { body } = entry;
      // What it takes at most: base64, and a frame around it.
      room -= entry.size * 1.34 + 99;
      const count = texts.length + wires.length;
      // A body also has a first line, and perhaps `close` and `ack`. It holds any one message (section 12).
      if (count && (room < 0 || count + (first ? 3 : 0) >= limits.batch)) break;
      buffer.number(next, entry);
      if (typeof body === "string" && !entry.skip) texts.push(body);
      else {
        flush();
        const ack = this._mark(link);
        wires.push(
          entry.skip
            ? encodeControl({ type: "skip", number: next, ack })
            : (first ? encodeBytes : encodeBinary)(next, ack, body as Uint8Array),
        );
      }
    }
    flush();
    link.next = next;
    if (this.ours && !link.closeWritten && next === buffer.first + buffer.entries.length) wires.push(this._last(link, this.ours));
    if (link.acked < this.received && now >= this._ackAt) {
      this._ackAfter = now + ACK_INTERVAL;
      wires.push(this._ack(link));
    }
    return wires;
  }

  /** Our `close`, as asked for or in answer to the server's (CLS-1, CLS-3). */
  _last(link: Link, { code, reason, by }: Closing): string {
    link.closeWritten = true;
    return encodeControl({ type: "close", code, reason, by, last: this.buffer.next - 1, ack: this._mark(link) });
  }

  _answered(link: Link, { of, status, text, retryIn = 0 }: Input & { type: "answer" }, now: number): void {
    const { post } = link;
    const lines = text.split("\n").filter(Boolean);
    const ok = status === 200;
    if (of === "post") link.post = undefined;
    if (of === "poll") {
      const held = now - link.polledAt;
      link.polling = false;
      // An empty one says that a newer poll stands (POL-2).
      if (ok) link.poll++;
      // Something cuts polls that are held for so long: shorter ones, and slowly longer ones again.
      if (ok) this.hold *= 1.05;
      else if (held > 1 && this.hold) this.hold = held / 2;
    }
    if (ok && lines[0]) {
      link.failures[of] = 0;
      for (const line of lines)
        // The answer to a POST is no sign of life of the downlink.
        if (of === "post") this._handle(link, decode(line), now);
        else this._receive(link, line, now);
      return;
    }
    if (of === "post" && post) {
      // What it took along is put back; its marks are due again.
      link.next = post.next;
      link.control.unshift(...post.control);
      link.closeWritten = false;
      link.acked = -1;
      this._ackAt = 0;
    }
    // Anything else is of something between: it says no more of the channel than silence does.
    if (/^{.*"type":"error"/.test(lines[0]!)) return this._handle(link, decode(lines[0]!), now);
    // A poll that nobody answered was the connection, as a stream that ends. Else the request is repeated with the
    // same content, and what has come up since (SND-1, POL-2).
    if ((of === "poll" && !status) || of === "open" || retryIn || ++link.failures[of] >= MAX_CONSECUTIVE_FAILURES)
      this._drop(link, ok ? "ended" : status ? "HTTP " + status : "no answer", retryIn);
  }

  /** A frame of the downlink. */
  _receive(link: Link, wire: string | ArrayBuffer, now: number): void {
    this._handle(link, decode(wire), now, typeof wire === "string" ? wire.length : wire.byteLength);
    if (link.state === "open") link.until = now + 2 * this.timings.heartbeat + 5;
  }

  _handle(link: Link, frame: Frame, now: number, size = 0): void {
    // Frames that come behind the one that ended the link.
    if (!this.links.has(link)) return;
    const opening = link.state === "opening";
    switch (frame.type) {
      case "error":
        return this._error(link, frame);
      case "drain":
        return this._drop(link, frame.type, frame.retry_in);
      case "ping":
        link.control.push(encodeControl({ ...frame, type: "pong" }));
        return;
      case "close":
        if (this._isForeign(frame.ack)) return;
        this._settle(frame.ack);
        this.theirs = frame;
        // In the place of `opened`: the session was over before (CLS-5).
        return this._over(link, opening);
      case "reset":
        return this.reset(frame);
      case "renew":
        this._events.push({ type: "renewal", within: frame.within! });
        return;
      case "opened":
        return this._opened(link, frame);
      case "ack":
      case "data":
        if (opening) throw bad();
        if (this._isForeign(frame.ack) || (frame.type === "ack" && this._isForeign(frame.received!))) return;
        // Refused, a frame has no effect at all (FRM-4).
        if (frame.type === "data" && frame.seq > this.received + 1) return this._drop(link, "gap");
        this._settle(frame.ack);
        if (frame.type === "data") return this._take(link, frame, now, size);
        // The answer to a POST (SND-2).
        if (frame.received! < link.next) link.next = frame.received! + 1;
        if (link.transport !== "sse") return;
        if (frame.attached === false) this._drop(link, "detached");
        // A stream that is written to and brings nothing is held up by something on the way.
        else if ((link.sent = frame.sent)! > this.received) link.until = Math.min(link.until, now + MUTE_TIMEOUT);
    }
  }

  _opened(link: Link, frame: OpenedFrame): void {
    // The last: of opens that race, one came to a server that did not know of the other (OPN-4).
    if (
      link.state !== "opening" ||
      frame.attach !== link.attach ||
      frame.client !== this.client ||
      (this.token && !frame.reset && frame.id !== this.id)
    )
      throw bad();
    if (frame.reset) this.reset(frame.reset, link);
    const { received = 0, handled } = frame;
    if (this._isForeign(Math.max(received, handled))) return;
    const resumed = frame.verdict === "resumed";
    link.state = "open";
    this.renewable = Infinity;
    this.id = frame.id;
    // Kept from now on: what comes behind this on a link that ends before it is confirmed is of this session too.
    // A later session needs a new nonce (OPN-3).
    if (!this.token) {
      this.token = frame.session;
      this._nonce = undefined;
    }
    link.next = received + 1;
    this.epoch = frame.epoch;
    this._limits = { ...LIMITS, ...frame.limits };
    this.timings = { ...TIMINGS, ...frame.timings };
    this.replay = resumed ? frame.sent : 0;
    this._events.push({
      type: "opened",
      link,
      resumed,
      id: frame.id,
      replayed: Math.max(0, this.replay - this.received),
    });
    this._settle(handled);
    // The server's limit may be below the one that these were checked against.
    const { entries, first, next } = this.buffer;
    for (let number = next; number < first + entries.length; number++)
      if (entries[number - first]!.size > this._limits.message) this._skip(number);
  }

  /** The server takes no message of this size: a `skip` stands in its place (DAT-5). */
  _skip(number: number): void {
    const entry = this.buffer.entries[number - this.buffer.first];
    if (!entry || entry.skip) return;
    if (entry.tag) this._events.push({ type: "rejected", tag: entry.tag });
    entry.tag = undefined;
    entry.skip = true;
  }

  /** Messages of the downlink; repetitions are passed over (NUM-3). `size`: of their frame. */
  _take(link: Link, { seq, messages }: Frame & { type: "data" }, now: number, size: number): void {
    const fresh = messages.slice(this.received + 1 - seq);
    if (!fresh.length) return;
    for (const data of fresh) this._events.push({ type: "message", message: { data, recovered: ++this.received <= this.replay } });
    const { window_messages, window_bytes } = this._limits;
    this._unacked += fresh.length / window_messages + size / window_bytes;
    this._ackAt = Math.min(this._ackAt, this._unacked < 0.25 ? Math.max(now + ACK_DELAY[link.transport], this._ackAfter) : now);
    this._over(link);
  }

  /**
   * Whether `mark` is above what was ever put on a wire: the server speaks of another session, and this one
   * is dropped (MRK-5, RES-6).
   */
  _isForeign(mark: number): boolean {
    const foreign = mark >= this.buffer.next;
    if (foreign) this.reset({ reason: "foreign", lost: null });
    return foreign;
  }

  /** All up to `mark` was handled (MRK-3). */
  _settle(mark: number): void {
    for (const { tag } of this.buffer.ack(mark)) if (tag !== undefined) this._events.push({ type: "settled", tag });
  }

  /** What became of each unacknowledged send (RES-3); null is for a mark that is not known. */
  _fates(handled: number | null | undefined, inHand: number | null | undefined): SendFate<Tag>[] {
    const { entries, first, next } = this.buffer;
    return entries.flatMap(({ tag }, index) => {
      const number = first + index;
      const fate = number >= next || number > (inHand ?? Infinity) ? "not_handled" : number <= (handled ?? 0) ? "handled" : "unknown";
      return tag === undefined ? [] : [{ tag, fate }];
    });
  }

  /** The session is over, a new one begins: in the `opened` of `successor`, or with the next open (RES-2, RES-4, RES-6). */
  reset(loss: Loss, successor?: Link): void {
    // What is held was not lost, though its ack may have been, or it came over another link since (RES-4).
    const [first = 1, last = 0] = loss.lost ?? [];
    const from = Math.max(first, this.received + 1);
    const lost = loss.lost && (from > last ? [] : [from, last]);
    this._events.push({ type: "reset", loss: { ...loss, lost }, sends: this._fates(loss.handled, loss.in_hand) });
    this.buffer = new SendBuffer();
    this.received = this.confirmed = this._refused = 0;
    this.token = this.epoch = this.theirs = undefined;
    this._ackAt = Infinity;
    if (successor) successor.acked = 0;
    else this._nonce = undefined;
    for (const link of this.links) if (link !== successor) this._drop(link, "reset");
  }

  _drop(link: Link, reason: string, retryIn = 0): void {
    if (!this.links.delete(link)) return;
    this._events.push({ type: "dropped", link, reason, retryIn });
    // Those below the confirmed one have ended, or will not carry what is sent any more (ATT-3).
    for (const older of this.links) if (older.attach < this.confirmed) this._drop(older, reason);
  }

  _error(link: Link, { code, message, number, expected, attach = 0, client = this.client, retry_in }: ErrorFrame): void {
    // No number, for a code that is the name of a member of objects.
    const closing = FATAL[code]!;
    if (code === "too_large" && number) {
      // Only that message is refused; all behind it was dropped unread (DAT-4, DAT-5).
      this._skip(number);
      link.next = Math.min(link.next, number);
    } else if (code === "gap" && expected && link.transport !== "websocket" && ++link.failures.post < MAX_CONSECUTIVE_FAILURES) {
      if (!this._isForeign(expected - 1)) link.next = expected;
    } else if (closing > 0 && !(code === "unauthorized" && (link.state === "open" || link.attach <= this.renewable))) this._end({ code: closing, reason: code + ": " + message, by: "protocol" });
    else {
      if (code === "unauthorized") this.renewable = Math.min(this.renewable, this.attaches);
      if (code === "superseded") {
        this.attaches = Math.max(this.attaches, attach);
        if (client === this.client) {
          // Another copy of this client went on.
          if (attach > this.confirmed) this._isForeign(Infinity);
        } else if (attach > (this.confirmed || attach) || ++this._refused > MAX_CONSECUTIVE_FAILURES)
          return this._end({ code: 4409, reason: code + ": taken by another page", by: "protocol" });
      }
      this._drop(link, code, retry_in);
    }
  }

  /** Ends the session where the server's `close` and everything up to its `last` are here (CLS-4); `late`: CLS-5. */
  _over(link: Link, late = false): void {
    const close = this.theirs;
    const received = this.received;
    if (!close || (received < close.last && !late)) return;
    if (!late) {
      // The last word, though a POST may be in flight: its answer tells nothing any more.
      link.post = undefined;
      if (!link.closeWritten) link.control.push(this._last(link, close));
      else if (link.acked < received) link.control.push(this._ack(link));
    }
    this._end(close, received >= close.last, close.ack, close.in_hand);
  }

  /** Nothing more goes out but what stands in a link's control frames. */
  _end(closing: Closing, clean = false, handled?: number, inHand = handled): void {
    this._events.push({ type: "closed", closing, clean, sends: this._fates(handled, inHand) });
    this.ours = closing;
    this.buffer = new SendBuffer();
    this.links.clear();
  }
}
