// The driver: owns connections, the clock and the application's side. What to do is decided by the pure
// core (session.ts, fallback.ts, backoff.ts); here it is done.
import { backoff } from "./backoff.ts";
import { browser } from "./environment.ts";
import type { Environment } from "./environment.ts";
import { ChannelError } from "./errors.ts";
import type { Fate } from "./errors.ts";
import { TRANSPORTS, choose } from "./fallback.ts";
import type { Learnt, TransportName } from "./fallback.ts";
import { Session } from "./session.ts";
import type { Event as SessionEvent, Heard, Link, Send } from "./session.ts";
import { CHANNEL, step } from "./states.ts";
import type { ChannelState } from "./states.ts";
import { longpoll } from "./transports/longpoll.ts";
import { sse } from "./transports/sse.ts";
import type { Transport, Wiring } from "./transports/transport.ts";
import { websocket } from "./transports/websocket.ts";

export interface ChannelOptions {
  /** Which transports may be used, in the order in which to try them. All three by default. */
  transports?: readonly TransportName[];
  /** A JSON value for the server's `authenticate`, or a function asked for it at each attach. */
  credentials?: unknown;
  /** Send cookies to another origin too. */
  withCredentials?: boolean;
  /** Names an inner application of the server (TGT-1). */
  target?: object;
  /** Hints to the server, in seconds (OPN-8). */
  wishes?: { hold?: number; heartbeat?: number };
  /** Seconds that an attempt may take until it is open: 4. */
  openTimeout?: number;
  /** Seconds that a POST may take: 10. */
  postTimeout?: number;
  /** Seconds that the first retry waits at most: 0.5; doubled by each failure, up to `retryMax`: 30. */
  retryBase?: number;
  retryMax?: number;
  /** Seconds after which a connection counts as stable: 5. What ends before speaks against its transport. */
  steadyAfter?: number;
  /** Seconds for which a fallback is kept before better transports get another chance: 300. */
  fallbackFor?: number;
  /** Bounds of what waits to be sent, and of what waits for a listener: 100,000 messages, 64 MiB. */
  queueMessages?: number;
  queueBytes?: number;
}

export interface ChannelEventMap {
  /** A session is open: the first one, or the one after a `reset`. */
  open: Event;
  message: Event & { readonly data: unknown; readonly recovered: boolean };
  transport: Event & { readonly transport: TransportName | null };
  recovering: Event & { readonly reason: string };
  resumed: Event & { readonly replayed: number };
  reset: Event & {
    readonly reason: string;
    /** The first and last number of what never arrived; empty for none, null where it is not known. */
    readonly lost: readonly number[] | null;
    readonly sends: readonly { readonly message: unknown; readonly fate: Fate }[];
  };
  close: Event & {
    readonly code: number;
    readonly reason: string;
    readonly by: "app" | "protocol";
    /** Everything that the other side had sent before its close was received. */
    readonly wasClean: boolean;
  };
}

/** One entry of `explain()`. */
export interface Attempt {
  readonly transport: TransportName;
  readonly outcome: "pending" | "open" | "failed" | "lost";
  readonly reason: string;
  /** Until it was open, or had failed. */
  readonly milliseconds: number;
}

interface Sent {
  readonly message: unknown;
  readonly _resolve: () => void;
  readonly _reject: (error: ChannelError) => void;
}

type Try = { -readonly [Field in keyof Attempt]: Attempt[Field] };

/** An attempt in hand: `_wire` and `_link` exist once the credentials are there. */
interface Current extends Try {
  _since: number;
  /** When it must be open, or be given up. */
  _until: number;
  _wire?: Transport;
  _link?: Link;
}

const OPENERS: { readonly [Name in TransportName]: (wiring: Wiring) => Transport } = { websocket, sse, longpoll };

/** How many attempts `explain()` remembers. */
const REMEMBERED = 50;

const lengthOf = (wire: string | ArrayBuffer | Uint8Array): number => (typeof wire === "string" ? wire.length : wire.byteLength);

/** One message channel to the server at `url`, over whichever transport works. */
export class Channel extends EventTarget {
  _env: Environment;
  _options: Required<Omit<ChannelOptions, "credentials" | "target" | "wishes" | "transports">>;
  _credentials: unknown;
  _url: URL;
  _session: Session<Sent>;
  _state: ChannelState = "connecting";
  _id: string | null = null;
  _transports: readonly TransportName[] = TRANSPORTS;
  _transport: TransportName | null = null;
  _current: Current | undefined;
  _attempts: Try[] = [];
  /** Transports that failed in this round, and failures in a row. */
  _tried: TransportName[] = [];
  _failures = 0;
  _learnt: Learnt | undefined;
  /** When to try again; never, while suspended by the application. */
  _retryAt = 0;
  /** When the server was last heard, or the application closed. */
  _contact: number;
  _timer: unknown;
  _scheduled = false;
  /** Received, and not taken yet. */
  _queue: { readonly data: unknown; readonly recovered: boolean; readonly size: number }[] = [];
  _queued = 0;
  _listened = false;
  _waiting: (() => void)[] = [];
  _closing = false;
  _closed: Promise<void>;
  _settle!: () => void;
  _counts = { attaches: 0, reconnects: 0, sent: 0, received: 0, acknowledged: 0, replayed: 0, bytesSent: 0, bytesReceived: 0 };

  /** Starts at once. Raises for an argument that is wrong; everything else is an event. */
  constructor(url: string | URL, options: ChannelOptions = {}, environment: Environment = browser) {
    super();
    const { credentials, target, wishes, transports = TRANSPORTS, ...rest } = options;
    this._env = environment;
    this._credentials = credentials;
    this._options = {
      withCredentials: false,
      openTimeout: 4,
      postTimeout: 10,
      retryBase: 0.5,
      retryMax: 30,
      steadyAfter: 5,
      fallbackFor: 300,
      queueMessages: 100_000,
      queueBytes: 64 * 1024 * 1024,
      ...rest,
    };
    this._url = new URL(url, environment.base());
    this._contact = environment.now();
    this._session = new Session(environment.mint(), environment.mint, { target, wishes });
    this._closed = new Promise((resolve) => (this._settle = resolve));
    this.transports = transports;
  }

  get state(): ChannelState {
    return this._state;
  }

  /** The transport in use, or null. */
  get transport(): TransportName | null {
    return this._transport;
  }

  /** The session's public name, fit for logs; null before the first. */
  get id(): string | null {
    return this._id;
  }

  get transports(): readonly TransportName[] {
    return this._transports;
  }

  /** What is forbidden now is left at once; the session goes on over another. */
  set transports(names: readonly TransportName[]) {
    if (!names.length || names.some((name) => !TRANSPORTS.includes(name)))
      throw new ChannelError("invalid_argument", "transports: name some of " + TRANSPORTS);
    this._transports = [...names];
    this._tried = [];
    if (this._current && !names.includes(this._current.transport)) this._retry("forbidden", 0);
    this._schedule();
  }

  /**
   * Sends a JSON value, an ArrayBuffer or a Uint8Array. Settles once the server's application has finished
   * with it (MRK-3); rejects with a `ChannelError`, whose `fate` tells what is known of it.
   */
  send(message: unknown): Promise<void> {
    const { queueMessages, queueBytes } = this._options;
    const promise = new Promise<void>((_resolve, _reject) => {
      const { length, size } = this._session.pending;
      if (length >= queueMessages || size >= queueBytes)
        throw new ChannelError("buffer_full", "too much waits to be sent: await earlier sends");
      this._session.send(message, { message, _resolve, _reject });
      this._counts.sent++;
    });
    // Nobody has to await it.
    promise.catch(() => {});
    this._schedule();
    return promise;
  }

  /** Closes once everything sent before is handled. Settles when the channel is closed. */
  close(code = 1000, reason = ""): Promise<void> {
    if ((code !== 1000 && !(code >= 3000 && code < 5000)) || new TextEncoder().encode(reason).length > 123)
      throw new ChannelError("invalid_argument", "close: code is 1000 or 3000 to 4999, reason at most 123 bytes");
    if (!this._closing) {
      this._closing = true;
      this._contact = this._env.now();
      this._session.close(code, reason);
      // Nothing was ever begun: there is nobody to tell.
      if (!this._session.begun) this._finish({ code, reason, by: "app", clean: true, sends: [] });
      this._schedule();
    }
    return this._closed;
  }

  /** Drops the connection, and resumes over a new one at once. */
  reconnect(): void {
    if (this._current) this._retry("reconnect", 0);
    else this._retryAt = 0;
    this._schedule();
  }

  /** Goes away: drops the connection, and does not come back before `resume`. */
  suspend(): void {
    if (this._state === "closed") return;
    if (this._current) this._retry("suspend", Infinity);
    this._retryAt = Infinity;
    if (this._state !== "suspended") this._enter("suspend");
    this._schedule();
  }

  resume(): void {
    if (this._state === "suspended") this._enter("resume");
    this._retryAt = 0;
    this._schedule();
  }

  /** Counts since the channel was made. */
  statistics(): Readonly<typeof this._counts> & { readonly attempts: { readonly [Name in TransportName]?: number } } {
    return { ...this._counts, attempts: { ...this._perTransport } };
  }

  _perTransport: { [Name in TransportName]?: number } = {};

  /** Why this transport: the latest attempts, oldest first. */
  explain(): Attempt[] {
    return this._attempts.map(({ transport, outcome, reason, milliseconds }) => ({ transport, outcome, reason, milliseconds }));
  }

  /** Takes messages as they come, until the channel is closed. Where there are listeners too, they get them instead. */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    for (;;) {
      for (let next; (next = this._queue.shift()); ) {
        this._queued -= next.size;
        yield next.data;
      }
      if (this._state === "closed") return;
      await new Promise<void>((resolve) => this._waiting.push(resolve));
    }
  }

  override addEventListener<Type extends keyof ChannelEventMap>(
    type: Type,
    listener: ((event: ChannelEventMap[Type]) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  override addEventListener(type: string, listener: unknown, options?: boolean | AddEventListenerOptions): void {
    super.addEventListener(type, listener as EventListener, options);
    if (type !== "message") return;
    this._listened = true;
    // After this turn: whoever else listens from now on misses nothing.
    queueMicrotask(() => this._deliver());
  }

  _fire(type: keyof ChannelEventMap, fields: object = {}): void {
    this.dispatchEvent(Object.assign(new Event(type), fields));
  }

  _enter(input: string): void {
    this._state = step(CHANNEL, this._state, input);
  }

  /** Everything of this turn is written together (DAT-1). */
  _schedule(): void {
    if (this._scheduled) return;
    this._scheduled = true;
    queueMicrotask(() => {
      this._scheduled = false;
      this._run();
    });
  }

  /** Does what is due, and sets the timer for what is due next. */
  _run(): void {
    const { _env: env, _session: session } = this;
    env.clearTimeout(this._timer);
    if (this._state === "closed") return;
    const now = env.now();
    const { closing, ttl } = session.timings;
    const giveUp = this._closing ? this._contact + closing : Infinity;
    if (now >= giveUp) return this._act(session.abandon(1001, "no answer to close: the server could not be reached"));
    if (this._state === "recovering" && now >= this._contact + ttl) this._enter("expire");
    if (this._current && now >= this._current._until) this._lost("no answer in time");
    this._act(session.tick(now));
    if (!this._current && now >= this._retryAt) void this._connect(now);
    this._transmit(now);
    const due = Math.min(
      giveUp,
      session.deadline,
      this._current ? this._current._until : this._retryAt,
      this._state === "recovering" ? this._contact + ttl : Infinity,
    );
    // Timers are cut to 32 bits; a day is long enough.
    if (due < Infinity) this._timer = env.setTimeout(() => this._run(), Math.min(86400, Math.max(0, due - now)) * 1000 + 1);
  }

  _transmit(now: number): void {
    const { _link: link, _wire: wire } = this._current ?? {};
    if (!link || !wire) return;
    for (const out of this._session.transmit(link, now)) {
      for (const each of out.wires) this._counts.bytesSent += lengthOf(each);
      wire.send(out);
    }
  }

  async _connect(now: number): Promise<void> {
    const transport = choose(this._transports, this._tried, this._learnt, now, this._options.fallbackFor) ?? this._transports[0]!;
    const { openTimeout } = this._options;
    const current: Current = { transport, outcome: "pending", reason: "", milliseconds: 0, _since: now, _until: now + openTimeout };
    this._current = current;
    this._attempts = [...this._attempts, current].slice(-REMEMBERED);
    this._perTransport[transport] = (this._perTransport[transport] ?? 0) + 1;
    try {
      const credentials = await this._ask();
      if (this._current !== current) return;
      current._until = this._env.now() + openTimeout;
      current._wire = OPENERS[transport]({
        env: this._env,
        url: (segment) => this._locate(segment),
        ...this._options,
        hear: (heard) => this._current === current && this._hear(heard),
      });
      current._link = this._session.attach(transport, credentials);
      this._schedule();
    } catch (error) {
      if (this._current === current) this._lost(`${error}`);
    }
  }

  /** The credentials for this attach. */
  async _ask(): Promise<unknown> {
    return typeof this._credentials === "function" ? (this._credentials as () => unknown)() : this._credentials;
  }

  /** The channel's URL with one more segment, its query kept. */
  _locate(segment: string): string {
    const url = new URL(this._url);
    url.protocol = url.protocol.replace("ws", "http");
    url.pathname = url.pathname.replace(/\/*$/, "/" + segment);
    url.hash = "";
    return url.href;
  }

  _hear(heard: Heard): void {
    const now = this._env.now();
    const current = this._current!;
    if (heard.type === "frame" || heard.type === "answered") {
      this._contact = now;
      const wires = heard.type === "frame" ? [heard.wire] : heard.lines;
      for (const wire of wires) this._counts.bytesReceived += lengthOf(wire);
    }
    this._act(this._session.hear(current._link!, heard, now));
    // An event stream works once it is known that POSTs get through as well.
    if (heard.type === "answered" && this._current === current) this._works(current, now);
    this._schedule();
  }

  _act(events: readonly SessionEvent<Sent>[]): void {
    for (const event of events) this._on(event);
  }

  _on(event: SessionEvent<Sent>): void {
    switch (event.type) {
      case "opened": {
        const current = this._current!;
        const now = this._env.now();
        this._counts.attaches++;
        this._id = event.id;
        if (current.transport === "sse") current._until = now + this._options.postTimeout;
        else this._works(current, now);
        const { replayed } = event;
        if (this._state !== "open") this._enter("opened");
        if (this._transport !== current.transport) {
          this._transport = current.transport;
          this._fire("transport", { transport: this._transport });
        }
        if (event.verdict === "new") return this._fire("open");
        this._counts.reconnects++;
        this._counts.replayed += replayed;
        return this._fire("resumed", { replayed });
      }
      case "message": {
        const { queueMessages, queueBytes } = this._options;
        this._counts.received++;
        this._queued += event.size;
        this._queue.push(event);
        this._deliver();
        if (this._queue.length > queueMessages || this._queued > queueBytes)
          this._act(this._session.abandon(1011, "too many messages wait: nothing listens for them"));
        return;
      }
      case "settled":
        this._counts.acknowledged++;
        return event.tag._resolve();
      case "rejected":
        return this._reject(event, event.code, "the server takes no message of this size");
      case "reset": {
        const { reason, lost, sends } = event;
        for (const send of sends) this._reject(send, "reset", "the session was reset: " + reason);
        return this._fire("reset", { reason, lost, sends: sends.map(({ tag, fate }) => ({ message: tag.message, fate })) });
      }
      case "superseded":
        return this._finish({ code: 4409, reason: "superseded: another page holds this session", by: "protocol", clean: false, sends: event.sends });
      case "drain":
        return this._retry("drain", this._env.random() * event.retry_in);
      case "renew":
        this._ask().then(
          (credentials) => {
            this._session.renew(credentials);
            this._schedule();
          },
          // The server's `unauthorized` will follow.
          () => {},
        );
        return;
      case "closed":
        return this._finish(event);
      case "drop":
        if (this._current?._link === event.link) this._lost(event.reason, event.retry_in);
    }
  }

  _works(current: Current, now: number): void {
    if (current.outcome !== "pending") return;
    current.outcome = "open";
    current.milliseconds = (now - current._since) * 1000;
    current._until = Infinity;
    const { transport: name } = current;
    // A better one that has just failed again makes the fallback fresh.
    if (this._learnt?.name !== name || this._tried.length) this._learnt = { name, since: now };
    this._tried = [];
  }

  /** The connection failed or was cut: decides what to try, and when. */
  _lost(reason: string, retryIn = 0): void {
    const { transport, outcome, _since: since } = this._current!;
    const { steadyAfter, retryBase, retryMax, fallbackFor } = this._options;
    const now = this._env.now();
    if (outcome === "pending" || now - since < steadyAfter) this._tried.push(transport);
    else this._failures = 0;
    const next = choose(this._transports, this._tried, this._learnt, now, fallbackFor);
    if (!next || retryIn) this._tried = [];
    // Down the ladder at once; otherwise not all pages in the same moment.
    const wait = outcome === "pending" && next && !retryIn ? 0 : retryIn + backoff(this._failures++, this._env.random(), retryBase, retryMax);
    this._retry(reason, wait);
  }

  /** Leaves the connection; the next is tried `wait` seconds later. */
  _retry(reason: string, wait: number): void {
    const now = this._env.now();
    const current = this._current!;
    this._current = undefined;
    this._retryAt = now + wait;
    if (current.outcome === "pending") current.milliseconds = (now - current._since) * 1000;
    current.outcome = current.outcome === "pending" ? "failed" : "lost";
    current.reason = reason;
    current._wire?.drop();
    if (current._link) this._session.hear(current._link, { type: "lost", reason }, now);
    if (this._state === "open") {
      this._enter("lost");
      this._fire("recovering", { reason });
    }
    this._schedule();
  }

  _reject({ tag, fate }: Send<Sent>, code: string, message: string): void {
    if (fate === "handled") tag._resolve();
    else tag._reject(new ChannelError(code, message, fate));
  }

  /** To the listeners, in order; without any, messages wait for one, or for an iterator. */
  _deliver(): void {
    while (this._listened && this._queue.length) {
      const queue = this._queue;
      this._queue = [];
      this._queued = 0;
      for (const { data, recovered } of queue) this._fire("message", { data, recovered });
    }
    for (const wake of this._waiting.splice(0)) wake();
  }

  /** The end: the last word is written, everything is settled. */
  _finish({ code, reason, by, clean, sends }: Omit<SessionEvent<Sent> & { type: "closed" }, "type">): void {
    this._transmit(this._env.now());
    this._current?._wire?.drop();
    this._current = undefined;
    this._transport = null;
    this._enter("close");
    for (const send of sends) this._reject(send, "closed", `the channel was closed: ${code} ${reason}`);
    this._deliver();
    this._fire("close", { code, reason, by, wasClean: clean });
    this._settle();
  }
}
