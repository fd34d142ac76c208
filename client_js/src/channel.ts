// The driver: owns connections, the clock and the application's side. What to do is decided by the pure
// core (session.ts, fallback.ts, backoff.ts); here it is done.
import { backoff } from "./backoff.ts";
import { sizeOf } from "./codec.ts";
import { mint } from "./environment.ts";
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
  transport: Event & { readonly transport: TransportName };
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

export interface Statistics {
  readonly attaches: number;
  readonly reconnects: number;
  readonly sent: number;
  readonly received: number;
  readonly acknowledged: number;
  readonly replayed: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Attempts, by transport. */
  readonly attempts: { readonly [Name in TransportName]: number };
}

/** A message on its way. */
interface Sent {
  readonly message: unknown;
  readonly _resolve: () => void;
  readonly _reject: (error: ChannelError) => void;
}

/** The attempt in hand, or the connection it became; wire and link exist once the credentials are there. */
interface Connection {
  _attempt: { -readonly [Field in keyof Attempt]: Attempt[Field] };
  _since: number;
  /** When it must be open, or be given up. */
  _until: number;
  _wire?: Transport;
  _link?: Link;
}

/** Read-only to everyone else. */
type Own = { -readonly [Field in "state" | "id" | "transport"]: Channel[Field] };

const OPENERS: { readonly [Name in TransportName]: (wiring: Wiring) => Transport } = { websocket, sse, longpoll };

/** How many attempts `explain()` remembers. */
const REMEMBERED = 50;

/** One message channel to the server at `url`, over whichever transport works. */
export class Channel extends EventTarget {
  _env: Environment;
  _options: Required<Omit<ChannelOptions, "target" | "wishes" | "transports">>;
  _url: URL;
  _session: Session<Sent>;
  readonly state: ChannelState = "connecting";
  /** The session's public name, fit for logs; null before the first. */
  readonly id: string | null = null;
  /** The transport in use, or that was used last; null before the first and when closed. */
  readonly transport: TransportName | null = null;
  _transports!: readonly TransportName[];
  _connection: Connection | undefined;
  _attempts: Attempt[] = [];
  /** Transports that failed in this round, and failures in a row. */
  _tried: TransportName[] = [];
  _failures = 0;
  _learnt: Learnt | undefined;
  /** When to try again; never, while suspended by the application. */
  _retryAt = 0;
  /** When the server was last heard, or the application closed. */
  _contact: number;
  _timer: ReturnType<Environment["setTimeout"]> | undefined;
  _scheduled = false;
  /** Received, and not taken yet; and its size. */
  _queue: { readonly data: unknown; readonly recovered: boolean; readonly size: number }[] = [];
  _queued = 0;
  _listened = false;
  _wakers: (() => void)[] = [];
  _closing = false;
  _closed: Promise<void>;
  _settle!: () => void;
  _counts = {
    attaches: 0,
    reconnects: 0,
    sent: 0,
    received: 0,
    acknowledged: 0,
    replayed: 0,
    bytesSent: 0,
    bytesReceived: 0,
    attempts: { websocket: 0, sse: 0, longpoll: 0 },
  };

  /** Starts at once. Raises for an argument that is wrong; everything else is an event. */
  constructor(url: string | URL, options: ChannelOptions = {}, environment: Environment = globalThis) {
    super();
    const { target, wishes, transports = TRANSPORTS, ...rest } = options;
    this._env = environment;
    this._options = {
      credentials: undefined,
      withCredentials: false,
      openTimeout: 4,
      postTimeout: 10,
      retryBase: 0.5,
      retryMax: 30,
      steadyAfter: 5,
      fallbackFor: 300,
      queueMessages: 1e5,
      queueBytes: 2 ** 26,
      ...rest,
    };
    this._url = new URL(url, environment.document?.baseURI ?? environment.location?.href);
    this._contact = this._now();
    this._session = new Session(mint(environment), () => mint(environment), { target, wishes });
    this._closed = new Promise((resolve) => (this._settle = resolve));
    this.transports = transports;
  }

  get transports(): readonly TransportName[] {
    return this._transports;
  }

  /** What is forbidden now is left at once; the session goes on over another. */
  set transports(names: readonly TransportName[]) {
    if (!names.length || !names.every((name) => TRANSPORTS.includes(name)))
      throw new ChannelError("invalid_argument", "transports: some of " + TRANSPORTS);
    this._transports = [...names];
    this._tried = [];
    // What was learnt under another choice is no verdict against what that forbade.
    this._learnt = undefined;
    const { _connection: connection } = this;
    if (connection && !names.includes(connection._attempt.transport)) this._leave("forbidden", 0);
    this._schedule();
  }

  /**
   * Sends a JSON value, an ArrayBuffer or a Uint8Array. Settles once the server's application has finished
   * with it (MRK-3); rejects with a `ChannelError`, whose `fate` tells what is known of it.
   */
  send(message: unknown): Promise<void> {
    const promise = new Promise<void>((_resolve, _reject) => {
      const { entries, size } = this._session.buffer;
      if (entries.length >= this._options.queueMessages || size >= this._options.queueBytes)
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
    if ((code !== 1000 && !(code >= 3000 && code < 5000)) || sizeOf(reason) > 123)
      throw new ChannelError("invalid_argument", "code: 1000 or 3000 to 4999; reason: at most 123 bytes");
    if (!this._closing) {
      this._closing = true;
      this._contact = this._now();
      this._session.close(code, reason);
      this.resume();
      // Nothing was ever begun: there is nobody to tell.
      if (!this._session.begun) this._finish({ code, reason, by: "app", clean: true, sends: [] });
      this._schedule();
    }
    return this._closed;
  }

  /** Drops the connection, and resumes over a new one at once. */
  reconnect(): void {
    this._leave("reconnect", 0);
  }

  /** Goes away: drops the connection, and does not come back before `resume`. */
  suspend(): void {
    this._leave("suspend", Infinity);
    if (this.state !== "closed") this._enter("suspend");
  }

  resume(): void {
    if (this.state !== "suspended") return;
    this._enter("resume");
    this._leave("resume", 0);
  }

  /** Counts since the channel was made. */
  statistics(): Statistics {
    return { ...this._counts, attempts: { ...this._counts.attempts } };
  }

  /** Why this transport: the latest attempts, oldest first. */
  explain(): Attempt[] {
    return this._attempts.map((attempt) => ({ ...attempt }));
  }

  /** Takes messages as they come, until the channel is closed. Where there are listeners too, they get them instead. */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    for (;;) {
      for (let next; (next = this._queue.shift()); ) {
        this._queued -= next.size;
        yield next.data;
      }
      if (this.state === "closed") return;
      await new Promise<void>((resolve) => this._wakers.push(resolve));
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

  _now(): number {
    return this._env.performance.now() / 1000;
  }

  _enter(input: string): void {
    (this as Own).state = step(CHANNEL, this.state, input);
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
    if (this.state === "closed") return;
    const now = this._now();
    const giveUp = this._closing ? this._contact + session.timings.closing : Infinity;
    if (now >= giveUp) return this._act(session.abandon(1001, "the server could not be reached"));
    const expiry = this.state === "recovering" ? this._contact + session.timings.ttl : Infinity;
    if (now >= expiry) this._enter("expire");
    if (this._connection && now >= this._connection._until) this._lost("no answer in time");
    this._act(session.tick(now));
    if (!this._connection && now >= this._retryAt) void this._connect(now);
    this._transmit(now);
    const due = Math.min(giveUp, now < expiry ? expiry : Infinity, session.deadline, this._connection?._until ?? this._retryAt);
    // Timers are cut to 32 bits of milliseconds.
    if (due < Infinity) this._timer = env.setTimeout(() => this._run(), Math.min(2 ** 31 - 1, (due - now) * 1000 + 1));
  }

  _transmit(now: number): void {
    const { _link: link, _wire: wire } = this._connection ?? {};
    if (!link) return;
    for (const out of this._session.transmit(link, now)) {
      for (const { length } of out.wires) this._counts.bytesSent += length;
      wire!._send(out);
    }
  }

  async _connect(now: number): Promise<void> {
    const { openTimeout, fallbackFor, withCredentials, postTimeout } = this._options;
    const transport = choose(this._transports, this._tried, this._learnt, now, fallbackFor)!;
    const connection: Connection = {
      _attempt: { transport, outcome: "pending", reason: "", milliseconds: 0 },
      _since: now,
      // For the credentials; once they are there the transport has its own time.
      _until: now + postTimeout,
    };
    this._connection = connection;
    this._attempts = [...this._attempts, connection._attempt].slice(-REMEMBERED);
    this._counts.attempts[transport]++;
    try {
      const credentials = await this._ask();
      if (this._connection !== connection) return;
      connection._until = this._now() + openTimeout;
      connection._wire = OPENERS[transport]({
        _env: this._env,
        _url: (segment) => this._locate(segment),
        _cookies: withCredentials ? "include" : "same-origin",
        _timeout: postTimeout * 1000,
        _hear: (heard) => this._connection === connection && this._hear(connection, heard),
      });
      connection._link = this._session.attach(transport, credentials);
      this._schedule();
    } catch (error) {
      if (this._connection === connection) this._lost(`${error}`);
    }
  }

  /** The credentials for this attach. */
  async _ask(): Promise<unknown> {
    const { credentials } = this._options;
    return typeof credentials === "function" ? (credentials as () => unknown)() : credentials;
  }

  /** The channel's URL with one more segment, its query kept. */
  _locate(segment: string): string {
    const url = new URL(this._url);
    url.protocol = url.protocol.replace("ws", "http");
    url.pathname = url.pathname.replace(/\/*$/, "/" + segment);
    url.hash = "";
    return url.href;
  }

  _hear(connection: Connection, heard: Heard): void {
    const now = this._now();
    if (heard.type !== "lost") {
      const wire = heard.type === "frame" ? heard.wire : heard.text;
      this._counts.bytesReceived += typeof wire === "string" ? wire.length : wire.byteLength;
      if (wire) this._contact = now;
    }
    this._act(this._session.hear(connection._link!, heard, now));
    // An event stream works once it is known that POSTs get through as well.
    if (heard.type === "answer" && heard.status === 200 && this._connection === connection) this._works(connection, now);
    this._schedule();
  }

  _act(events: readonly SessionEvent<Sent>[]): void {
    // One of them may have ended the channel.
    for (const event of events) if (this.state !== "closed") this._on(event);
  }

  _on(event: SessionEvent<Sent>): void {
    const { _connection: connection, _counts: counts } = this;
    switch (event.type) {
      case "opened": {
        const { id, replayed } = event;
        const { transport } = connection!._attempt;
        const now = this._now();
        (this as Own).id = id;
        counts.attaches++;
        if (transport === "sse") connection!._until = now + this._options.postTimeout;
        else this._works(connection!, now);
        if (this.state !== "open") this._enter("opened");
        if (this.transport !== transport) this._fire("transport", { transport: ((this as Own).transport = transport) });
        if (event.verdict === "new") return this._fire("open");
        counts.reconnects++;
        counts.replayed += replayed;
        return this._fire("resumed", { replayed });
      }
      case "message":
        counts.received++;
        this._queued += event.size;
        this._queue.push(event);
        this._deliver();
        if (this._queue.length > this._options.queueMessages || this._queued > this._options.queueBytes)
          this._act(this._session.abandon(1011, "too many messages wait for a listener"));
        return;
      case "settled":
        counts.acknowledged++;
        return event.tag._resolve();
      case "rejected":
        return this._reject({ tag: event.tag, fate: "not_handled" }, "too_large", "above the server's limit");
      case "reset": {
        const { reason, lost, sends } = event;
        for (const send of sends) this._reject(send, "reset", "the session was reset: " + reason);
        return this._fire("reset", { reason, lost, sends: sends.map(({ tag, fate }) => ({ message: tag.message, fate })) });
      }
      case "renew":
        // Where there are none, the server's `unauthorized` will follow.
        this._ask().then(
          (credentials) => {
            this._session.renew(credentials);
            this._schedule();
          },
          () => {},
        );
        return;
      case "closed":
        return this._finish(event);
      case "drop":
        if (connection?._link === event.link) this._lost(event.reason, event.retryIn);
    }
  }

  _works(connection: Connection, now: number): void {
    const { _attempt: attempt } = connection;
    if (attempt.outcome !== "pending") return;
    connection._until = Infinity;
    attempt.outcome = "open";
    attempt.milliseconds = (now - connection._since) * 1000;
    const { transport: name } = attempt;
    // A better one that has just failed again makes the fallback fresh.
    if (this._learnt?.name !== name || this._tried.length) this._learnt = { name, since: now };
    this._tried = [];
  }

  /** The connection failed or was cut: decides what to try, and when. */
  _lost(reason: string, retryIn = 0): void {
    const { _attempt: attempt, _since: since } = this._connection!;
    const { steadyAfter, retryBase, retryMax } = this._options;
    const random = this._env.Math.random();
    const pending = attempt.outcome === "pending";
    // The server asked for it: no failure (DRN-1).
    if (reason === "drain") return this._leave(reason, random * retryIn);
    if (pending || this._now() - since < steadyAfter) this._tried.push(attempt.transport);
    else this._failures = 0;
    const all = this._transports.every((name) => this._tried.includes(name));
    if (all || retryIn) this._tried = [];
    // Down the ladder at once; otherwise not all pages in the same moment.
    this._leave(reason, pending && !all && !retryIn ? 0 : retryIn + backoff(this._failures++, random, retryBase, retryMax));
  }

  /** Leaves the connection, if there is one; the next is tried `wait` seconds later. */
  _leave(reason: string, wait: number): void {
    const { _connection: connection } = this;
    const now = this._now();
    this._connection = undefined;
    this._retryAt = now + wait;
    this._schedule();
    if (!connection) return;
    const { _attempt: attempt, _link: link } = connection;
    const pending = attempt.outcome === "pending";
    if (pending) attempt.milliseconds = (now - connection._since) * 1000;
    attempt.outcome = pending ? "failed" : "lost";
    attempt.reason = reason;
    connection._wire?._drop();
    if (link) this._session.hear(link, { type: "lost", reason }, now);
    if (this.state !== "open") return;
    this._enter("lost");
    this._fire("recovering", { reason });
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
    for (const wake of this._wakers.splice(0)) wake();
  }

  /** The end: the last word is written, everything is settled. */
  _finish({ code, reason, by, clean, sends }: Omit<SessionEvent<Sent> & { type: "closed" }, "type">): void {
    this._transmit(this._now());
    this._connection?._wire?._drop();
    this._connection = undefined;
    (this as Own).transport = null;
    this._enter("close");
    for (const send of sends) this._reject(send, "closed", `the channel was closed: ${code} ${reason}`);
    this._deliver();
    this._fire("close", { code, reason, by, wasClean: clean });
    this._settle();
  }
}
