// The client's half of a session (PROTOCOL.md): numbers, marks, attaches, verdicts, close.
//
// A session outlives its links; a link is one attach over one connection. The core is pure: inputs and `now`
// (seconds of a monotonic clock) go in; outputs, events and the next deadline come out. A driver calls `attach`
// for each connection and `handleInput` for what that reports; after every input it writes what `transmit`
// returns, and it calls `tick` at `deadline`. Invariants:
// - A message is numbered when it is first written, and kept until an ack covers it (NUM-2, NUM-4).
// - Only the newest confirmed attach carries data and acks (ATT-3): `leads`.
// - A frame that is refused has no effect but, at most, on its link (FRM-4): all checks come first.
// - After a reset the same object continues with a new session; nothing sent before is carried over.
import { AckSchedule } from "./acks.ts";
import { MAX_CONSECUTIVE_FAILURES, recordAnswer, recordPostMarks } from "./answers.ts";
import { NOTHING, badFrame, decode, encodeControl, encodeMessage } from "./codec.ts";
import { ChannelError } from "./errors.ts";
import type { Answer, Closing, Input, Output, SessionEvent } from "./events.ts";
import type { CloseFrame, DataFrame, ErrorFrame, Frame, Loss, OpenFrame, OpenedFrame, TransportName } from "./frames.ts";
import { createLink } from "./link.ts";
import type { Link } from "./link.ts";
import { ForeignMark, Outbox } from "./outbox.ts";
import { PollPacing } from "./polls.ts";
import { RESTART_RETRY_IN, Refusals, boundedWait } from "./refusals.ts";
import { ATTACH_TRANSITIONS, transition } from "./states.ts";
import { DEFAULT_TERMS, readTerms, silenceTimeout } from "./terms.ts";
import type { Terms } from "./terms.ts";
import { requests, websocketFrames, writeAck, writeClose } from "./uplink.ts";

/** The session is another's: what became of ours is not known (RES-6). */
const FOREIGN: Loss = { reason: "foreign", lost: null, handled: null, in_hand: null };

/** The sessions of one client instance, one after the other. `Tag` names a send in events. */
export class ClientSession<Tag> {
  /** Names this instance (OPN-3). */
  client: string;
  /** Of the session; absent until it is open. */
  token: string | undefined;
  epoch: string | undefined;
  id: string | undefined;
  /** The number of the newest attach (ATT-1). */
  attaches = 0;
  /** The highest attach that was confirmed: the one that sends (ATT-3). */
  confirmed = 0;
  terms: Terms = DEFAULT_TERMS;
  readonly outbox = new Outbox<Tag>();
  readonly acks = new AckSchedule();
  readonly polls = new PollPacing();
  /** Messages up to this number are replays (OPN-6). */
  replayUpTo = 0;
  /** How the application asked to close, or how the channel has ended. */
  closing: Closing | undefined;
  /** The server's `close`. */
  serverClose: CloseFrame | undefined;
  /** Asks for a WebSocket application, whose connection is one session only (TGT-1). */
  target: OpenFrame["target"];
  /** The page goes away for good (LIV-6). The next attach takes that back. */
  isLeaving = false;
  /** Returns at least 128 random bits (OPN-3). */
  private readonly _randomId: () => string;
  private readonly _links = new Set<Link>();
  /** Of the open that begins the next session (OPN-3). */
  private _nonce: string | undefined;
  private readonly _refusals: Refusals;
  private _events: SessionEvent<Tag>[] = [];

  /** `renewable`: the credentials come from a function, which may be asked again if they are refused. */
  constructor(client: string, randomId: () => string, renewable = false) {
    this.client = client;
    this._randomId = randomId;
    this._refusals = new Refusals(renewable);
  }

  /** When to call `tick` and `transmit`. */
  get deadline(): number {
    let deadline = Infinity;
    for (const link of this._links) {
      deadline = Math.min(deadline, link.deadline);
      if (!this.leads(link)) continue;
      if (!link.post) deadline = Math.min(deadline, this.acks.dueOn(link));
      // 0: nothing to wait for, as `transmit` polls immediately.
      if (!link.polling) deadline = Math.min(deadline, this.polls.nextAt(link) || Infinity);
    }
    return deadline;
  }

  // The application's side

  /**
   * Queues a message until it is acknowledged.
   *
   * Throws `ChannelError` for one that cannot be sent (DAT-3, DAT-4), and once the channel is closing.
   */
  send(message: unknown, tag: Tag): void {
    const encoded = encodeMessage(message, this.terms); // first: `toJSON` may close the channel
    if (this.closing || (this.serverClose && !this._goesOn))
      throw new ChannelError("closed", "cannot send: the channel is closed. Create a new Channel.");
    this.outbox.buffer.push({ ...encoded, tag });
  }

  /** Takes no more messages; what was sent before is still delivered, and then the close (CLS-2). */
  close(code: number, reason: string): void {
    this.closing ??= { code, reason, by: "app" };
  }

  /** The channel continues with a new session after the server's `close` (CLS-8). */
  private get _goesOn(): boolean {
    return !this.closing && !this.target && this.serverClose?.retry_in !== undefined;
  }

  /** Answers a `renewal` event (REN-1). */
  renew(credentials: unknown): void {
    // JSON would leave out an undefined value; a server may look at cookies instead.
    const frame = encodeControl({ type: "renew", credentials: credentials ?? null });
    for (const link of this._links) link.control.push(frame);
  }

  /** Ends the session locally, without telling the server. */
  abandon(code: number, reason: string): SessionEvent<Tag>[] {
    this._end({ code, reason, by: "protocol" });
    return this._events.splice(0);
  }

  // Links

  /** Starts the next attach (ATT-1). */
  attach(transport: TransportName, credentials?: unknown): Link {
    const attach = ++this.attaches;
    this.isLeaving = false;
    this._nonce ??= this._randomId();
    const opening = encodeControl({
      type: "open",
      versions: [1],
      client: this.client,
      nonce: this._nonce,
      attach,
      received: this.acks.received,
      first_retained: this.outbox.buffer.first,
      // JSON leaves out what is undefined.
      session: this.token!,
      epoch: this.epoch!,
      credentials,
      target: this.target!,
    });
    const link = createLink(attach, transport, opening, this.acks.received);
    this._links.add(link);
    return link;
  }

  /** Expects a sign of life on `link` by `until`: it may have died unnoticed. */
  probe(link: Link, until: number): void {
    link.deadline = until;
    if (link.transport === "websocket") link.control.push(encodeControl({ type: "ping" }));
  }

  /** Forgets a link whose connection was dropped. */
  remove(link: Link): void {
    this._links.delete(link);
  }

  /** Returns whether `link` carries the session: it is the newest confirmed attach (ATT-3). */
  leads(link: Link): boolean {
    return link.attach === this.confirmed && this._links.has(link);
  }

  /** Returns whether a link carries the session. */
  isCarried(): boolean {
    return [...this._links].some((link) => this.leads(link));
  }

  private _dropLink(link: Link, reason: string, retryIn = 0, message?: string): void {
    if (!this._links.delete(link)) return;
    this._events.push({ type: "dropped", link, reason, message, retryIn: boundedWait(retryIn) });
    // Older attaches have ended, or carry no more data (ATT-3).
    for (const older of this._links) if (older.attach < this.confirmed) this._dropLink(older, reason);
  }

  // Time and writing

  /** Drops the links that have been silent for too long (LIV-2). */
  tick(now: number): SessionEvent<Tag>[] {
    for (const link of this._links) {
      if (now < link.deadline) continue;
      this._dropLink(link, link.sent! > this.acks.received ? "mute" : "silent");
    }
    return this._events.splice(0);
  }

  /** Returns everything to write on `link` now. The first write after `opened` confirms the attach. */
  transmit(link: Link, now: number): Output[] {
    if (link.state === "fresh") {
      link.state = transition(ATTACH_TRANSITIONS, link.state, "open");
      return [{ request: "open", frames: [link.opening] }];
    }
    if (link.state === "opening") return [];
    const confirms = link.attach > this.confirmed && this._links.has(link);
    if (confirms) {
      this.confirmed = link.attach;
      this.acks.setDueOn(link);
    }
    const write = link.transport === "websocket" ? websocketFrames : requests;
    return write(this, link, confirms, now);
  }

  // Reading

  /** Handles input from the connection of `link`; ignores it if the link has ended. */
  handleInput(link: Link, input: Input, now: number): SessionEvent<Tag>[] {
    try {
      if (!this._links.has(link)) return [];
      if (input.type === "frame") this._receive(link, input.frame, now);
      else if (input.type === "answer") this._handleAnswer(link, input, now);
      else if (input.code === 1012) this._dropLink(link, "drain", RESTART_RETRY_IN);
      else this._dropLink(link, input.reason);
    } catch (error) {
      // The next attach starts from the marks, which a malformed frame has not changed.
      if (error instanceof ForeignMark) this.reset();
      else this._dropLink(link, "bad_frame");
    }
    return this._events.splice(0);
  }

  private _handleAnswer(link: Link, answer: Answer, now: number): void {
    const next = recordAnswer(link, answer, this.acks, this.polls, now);
    if (next.type === "drop") return this._dropLink(link, next.reason, next.retryIn);
    // `transmit` repeats the request.
    if (next.type === "retry") return;
    for (const line of next.lines)
      if (next.isDownlink) this._receive(link, line, now);
      else this._handle(link, decode(line), now, line.length);
  }

  /** Handles a frame of the downlink, which is a sign of life. */
  private _receive(link: Link, encoded: string | ArrayBuffer, now: number): void {
    this._handle(link, decode(encoded), now, typeof encoded === "string" ? encoded.length : encoded.byteLength);
    if (link.state === "open") link.deadline = now + silenceTimeout(this.terms);
  }

  private _handle(link: Link, frame: Frame, now: number, size = 0): void {
    // Frames after the one that ended the link are ignored.
    if (!this._links.has(link)) return;
    const opening = link.state === "opening";
    switch (frame.type) {
      case "error":
        return this._fail(link, frame);
      case "drain":
        return this._dropLink(link, "drain", frame.retry_in);
      case "ping":
        link.control.push(encodeControl({ ...frame, type: "pong" }));
        return;
      case "close":
        this.outbox.checkAck(frame.ack);
        this._settle(frame.ack);
        this.serverClose = frame;
        // Instead of `opened`: the session had already ended (CLS-5).
        return this._endIfComplete(link, now, opening);
      case "reset":
        return this.reset(frame);
      case "renew":
        this._events.push({ type: "renewal", within: frame.within });
        return;
      case "opened":
        return this._opened(link, frame);
      case "data":
        if (opening) throw badFrame();
        return this._receiveData(link, frame, now, size);
      case "ack":
        if (opening) throw badFrame();
        this.outbox.checkAck(frame.ack);
        // Undefined, which passes, unless this answers a POST.
        this.outbox.checkAck(frame.received!);
        this._settle(frame.ack);
        if (frame.prompt && this.leads(link)) this.acks.setDueOn(link);
        if (!recordPostMarks(link, frame, this.acks.received, now)) this._dropLink(link, "detached");
    }
  }

  private _opened(link: Link, frame: OpenedFrame): void {
    const state = transition(ATTACH_TRANSITIONS, link.state, "opened");
    const continues = this.token && !frame.reset;
    if (frame.attach !== link.attach || frame.client !== this.client || !(continues || frame.session)) throw badFrame();
    // If two opens race, one may reach a server that does not know about the other (OPN-4).
    if (continues && frame.id !== this.id) return this._dropLink(link, "another session");
    if (frame.reset) this.reset(frame.reset, link);
    const { received = 0, handled } = frame;
    this.outbox.checkAck(Math.max(received, handled));
    const resumed = frame.verdict === "resumed";
    link.state = state;
    this._refusals.opened();
    this.id = frame.id;
    // Kept from now on: what follows on a link that ends before it is confirmed is of this session too.
    // A later session needs a new nonce (OPN-3).
    if (!this.token) {
      this.token = frame.session;
      this._nonce = undefined;
    }
    link.next = Math.min(link.next, received + 1);
    this.epoch = frame.epoch;
    this.terms = readTerms(frame);
    // Nothing was missed if another link still carries the session.
    if (!this.isCarried()) this.replayUpTo = resumed ? frame.sent : 0;
    const replayed = Math.max(0, this.replayUpTo - this.acks.received);
    this._events.push({ type: "opened", link, resumed, id: frame.id, replayed });
    this._settle(handled);
    // The server's limit may be below the one that these were checked against.
    for (const number of this.outbox.buffer.unsentAbove(this.terms.message))
      this._events.push(...this.outbox.skip(number, "too_large"));
  }

  /** Receives messages of the downlink; duplicates are dropped (NUM-3). `size`: of their frame. */
  private _receiveData(link: Link, { seq, ack, messages }: DataFrame, now: number, size: number): void {
    const { received } = this.acks;
    this.outbox.checkAck(ack);
    if (seq > received + 1) {
      // On long poll the answers to a poll and a POST overtake each other (POL-5).
      if (link.transport !== "longpoll") this._dropLink(link, "gap");
      return;
    }
    this._settle(ack);
    const fresh = messages.slice(received + 1 - seq);
    if (!fresh.length) return;
    fresh.forEach((data, index) => {
      const message = { data, recovered: received + 1 + index <= this.replayUpTo };
      if (data !== NOTHING) this._events.push({ type: "message", message, size: size / messages.length });
    });
    if (fresh.length < messages.length) size = JSON.stringify(fresh).length; // duplicates count for nothing
    this.acks.record(fresh.length, size, this.terms, now);
    // The last replay (MRK-7): the server keeps everything since the connection was lost.
    if (received < this.replayUpTo && this.replayUpTo <= this.acks.received) this.acks.setDue();
    this._endIfComplete(link, now);
  }

  private _settle(mark: number): void {
    this._events.push(...this.outbox.settle(mark));
  }

  // Errors and ends

  private _fail(link: Link, frame: ErrorFrame): void {
    const { code, message, number, last = number, attach = 0, expected, retry_in } = frame;
    if ((code === "too_large" || code === "not_read") && number) {
      // Only these messages are refused; the server dropped what followed them unread (DAT-4, DAT-5, DAT-7).
      const end = Math.min(last!, this.outbox.buffer.lastNumber);
      for (let one = number; one <= end; one++) this._events.push(...this.outbox.skip(one, code));
      // If *received* has moved back, an `opened` may count the message all the same (DAT-7).
      const links = code === "not_read" ? this._links : [link];
      for (const one of links) one.next = Math.min(one.next, number);
      return;
    }
    const isHttp = link.transport !== "websocket";
    if (code === "gap" && expected && isHttp && ++link.failures.post < MAX_CONSECUTIVE_FAILURES) {
      this.outbox.checkAck(expected - 1);
      link.next = Math.min(link.next, expected);
      return;
    }
    if (code === "superseded") this.attaches = Math.max(this.attaches, attach);
    const closing = this._refusals.closing(this, link, frame);
    if (closing) this._end(closing);
    else this._dropLink(link, code, retry_in, message);
  }

  /**
   * Ends this session and starts a new one (RES-2, RES-4, RES-6).
   *
   * `loss`: what became of it. `successor`: the link whose `opened` brings the new one; else the next open does, no
   * sooner than after `retryIn` seconds.
   */
  reset(loss: Loss = FOREIGN, successor?: Link, retryIn = 0): void {
    const lost = loss.lost && this.acks.clipLostRange(loss.lost);
    const sends = this.outbox.fates(loss.handled, loss.in_hand);
    this._events.push({ type: "reset", loss: { ...loss, lost }, sends });
    this.outbox.startOver();
    this.acks.reset();
    this.confirmed = 0;
    this._refusals.startOver();
    this.token = undefined;
    this.epoch = undefined;
    this.serverClose = undefined;
    if (successor) {
      successor.acked = 0;
      successor.next = Number.MAX_SAFE_INTEGER;
    } else this._nonce = undefined;
    for (const link of this._links) if (link !== successor) this._dropLink(link, "reset", retryIn);
  }

  /**
   * Ends the session once the server's `close` and everything up to its `last` are here (CLS-4).
   *
   * `late`: the session had ended before this attach, so nothing more will arrive (CLS-5).
   */
  private _endIfComplete(link: Link, now: number, late = false): void {
    const close = this.serverClose;
    const { received } = this.acks;
    if (!close || (received < close.last && !late)) return;
    if (!late) {
      // Our close is written even if a POST is in flight, whose answer no longer matters.
      link.post = undefined;
      if (!link.closeWritten) link.control.push(writeClose(this, link, close));
      else if (link.acked < received) link.control.push(writeAck(this, link));
    }
    const { ack, last, in_hand = ack, retry_in: retryIn } = close;
    if (!this._goesOn) return this._end(close, received >= last, ack, in_hand);
    // The link carries no more data, only the control frames that are queued: our answer.
    this._links.delete(link);
    const outputs = this.transmit(link, now);
    this.reset({ reason: "failed", lost: [received + 1, last], handled: ack, in_hand }, undefined, retryIn);
    this._events.push({ type: "dropped", link, reason: "reset", retryIn: boundedWait(retryIn!), outputs });
  }

  /** Ends the channel. Nothing more is written but the control frames of each link. */
  private _end(closing: Closing, clean = false, handled?: number, inHand = handled): void {
    this._events.push({ type: "closed", closing, clean, sends: this.outbox.fates(handled, inHand) });
    this.closing = closing;
    this.outbox.startOver();
    this._links.clear();
  }
}
