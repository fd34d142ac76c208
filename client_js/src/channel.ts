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
import type { Closing, Event as SessionEvent, Heard, Link, Message, Send } from "./session.ts";
import { CHANNEL, step } from "./states.ts";
import type { ChannelState } from "./states.ts";
import { longpoll, sse } from "./transports/http.ts";
import type { Transport, Wiring } from "./transports/transport.ts";
import { websocket } from "./transports/websocket.ts";

export interface ChannelOptions {
  /** Which transports may be used, in the order in which to try them. All three by default. */
  transports?: readonly TransportName[];
  /** A JSON value for the server's `authenticate`, or a function asked for it at each attach. */
  credentials?: unknown;
  /** Send cookies to another origin too. */
  withCredentials?: boolean;
  /** Seconds that an attempt may take until it is open: 4. */
  openTimeout?: number;
  /** Seconds that a POST may take: 10. */
  postTimeout?: number;
  /** Seconds that the first retry waits at most: 0.5; doubled by each failure, up to `retryMax`: 30. */
  retryBase?: number;
  retryMax?: number;
  /** Seconds for which a fallback is kept before better transports get another chance: 300. */
  fallbackFor?: number;
  /** How many messages may wait to be sent, and how many for a listener: 100,000. */
  queueMessages?: number;
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
  /** Attempts, by transport. */
  readonly attempts: { readonly [Name in TransportName]: number };
}

/** A message on its way. */
interface Sent {
  readonly _message: unknown;
  readonly _resolve: () => void;
  readonly _reject: (error: ChannelError) => void;
}

/** The attempt in hand, or the connection it became; wire and link exist once the credentials are there. */
interface Connection {
  _attempt: { -readonly [Field in keyof Attempt]: Attempt[Field] };
  _since: number;
  /** When it must have proven to work, or be given up; never, once it has. */
  _until: number;
  _wire?: Transport;
  _link?: Link;
}

/** Read-only to everyone else. */
type Own = { -readonly [Field in "state" | "id" | "transport"]: Channel[Field] };

const OPENERS: { readonly [Name in TransportName]: (wiring: Wiring) => Transport } = { websocket, sse, longpoll };

/** Seconds that a connection must have lasted; what ends before speaks against its transport. */
const STEADY = 5;

/** How many attempts `explain()` remembers. */
const REMEMBERED = 50;

/** One message channel to the server at `url`, over whichever transport works. */
export class Channel extends EventTarget {
  _env: Environment;
  _options: Required<Omit<ChannelOptions, "transports" | "credentials">> & Pick<ChannelOptions, "credentials">;
  _url: string;
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
  /** Received, and not taken yet. */
  _queue: Message[] = [];
  _listened = false;
  _wakers: (() => void)[] = [];
  _closed: Promise<void>;
  _counts = {
    attaches: 0,
    reconnects: 0,
    sent: 0,
    received: 0,
    acknowledged: 0,
    replayed: 0,
    attempts: { websocket: 0, sse: 0, longpoll: 0 },
  };

  /** Starts at once. Raises for an argument that is wrong; everything else is an event. */
  constructor(
    url: string | URL,
    {
      transports = TRANSPORTS,
      credentials,
      withCredentials = false,
      openTimeout = 4,
      postTimeout = 10,
      retryBase = 0.5,
      retryMax = 30,
      fallbackFor = 300,
      queueMessages = 1e5,
    }: ChannelOptions = {},
    environment: Environment = globalThis,
  ) {
    super();
    this._env = environment;
    // Field by field: an option that is undefined is one that is not given.
    this._options = { credentials, withCredentials, openTimeout, postTimeout, retryBase, retryMax, fallbackFor, queueMessages };
    this._url = new URL(url, environment.document?.baseURI ?? environment.location?.href).href
      .replace(/^ws/, "http")
      .replace(/#.*/, "");
    this._contact = this._now();
    this._session = new Session(mint(environment), () => mint(environment));
    this._closed = new Promise((resolve) => this.addEventListener("close", () => resolve()));
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
      if (this._session._buffer._entries.length >= this._options.queueMessages)
        throw new ChannelError("buffer_full", "await earlier sends");
      this._session._send(message, { _message: message, _resolve, _reject });
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
      throw new ChannelError("invalid_argument", "code: 1000, 3000-4999; reason: 123 bytes");
    if (!this._session._ours) {
      this._contact = this._now();
      this._session._close(code, reason);
      this.resume();
      // A back-off may be longer than the time that is left.
      if (!this._connection) this.reconnect();
      // Nothing was ever begun: there is nobody to tell.
      if (!this._session._attaches && !this._session._buffer._entries.length) this._finish({ code, reason, by: "app" }, true, []);
      this._schedule();
    }
    return this._closed;
  }

  /** Drops the connection, and resumes over a new one at once; not while the application has suspended it. */
  reconnect(): void {
    if (this._retryAt < Infinity) this._leave("reconnect", 0);
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
    return structuredClone(this._counts);
  }

  /** Why this transport: the latest attempts, oldest first. */
  explain(): Attempt[] {
    return structuredClone(this._attempts);
  }

  /** Takes messages as they come, until the channel is closed. Where there are listeners too, they get them instead. */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    for (;;) {
      for (let next; (next = this._queue.shift()); ) yield next.data;
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
    const giveUp = session._ours ? this._contact + session._timings.closing : Infinity;
    if (now >= giveUp) return this._act(session._abandon(1001, "the server could not be reached"));
    const expiry = this.state === "recovering" ? this._contact + session._timings.ttl : Infinity;
    if (now >= expiry) this._enter("expire");
    if (this._connection && now >= this._connection._until) this._lost("no answer in time");
    this._act(session._tick(now));
    if (!this._connection && now >= this._retryAt) void this._connect(now);
    this._transmit(now);
    const due = Math.min(giveUp, now < expiry ? expiry : Infinity, session._deadline, this._connection?._until ?? this._retryAt);
    // After a sleep, what has arrived meanwhile comes first: one more turn.
    const turn = (): void => void (this._timer = env.setTimeout(() => this._run(), 0));
    // Timers are cut to 32 bits of milliseconds.
    if (due < Infinity) this._timer = env.setTimeout(turn, Math.min(2 ** 31 - 1, (due - now) * 1000 + 1));
  }

  _transmit(now: number): void {
    const { _link: link, _wire: wire } = this._connection ?? {};
    if (!link) return;
    for (const out of this._session._transmit(link, now)) wire!._send(out);
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
    if (this._attempts.push(connection._attempt) > REMEMBERED) this._attempts.shift();
    this._counts.attempts[transport]++;
    try {
      const credentials = await this._ask();
      if (this._connection !== connection) return;
      connection._until = this._now() + openTimeout;
      connection._wire = OPENERS[transport]({
        _env: this._env,
        // One more segment, the query kept.
        _url: (segment) => this._url.replace(/\/*(\?.*)?$/, `/${segment}$1`),
        _cookies: withCredentials ? "include" : "same-origin",
        _timeout: postTimeout * 1000,
        _hear: (heard) => this._connection === connection && this._hear(connection, heard),
      });
      connection._link = this._session._attach(transport, credentials);
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

  _hear(connection: Connection, heard: Heard): void {
    const now = this._now();
    const answers = heard._type === "answer";
    this._act(this._session._hear(connection._link!, heard, now));
    this._schedule();
    const { transport: name, outcome } = connection._attempt;
    // Anything on the way answers too: only what is understood, and attached, was the server.
    if (outcome !== "open" || this._connection !== connection || (answers && heard._status !== 200)) return;
    this._contact = now;
    // An event stream works once it is known that POSTs get through as well.
    if (name === "sse" && !answers) return;
    connection._until = Infinity;
    // A better one that has just failed again makes the fallback fresh.
    if (this._learnt?._name !== name || this._tried.length) this._learnt = { _name: name, _since: now };
    this._tried = [];
  }

  _act(events: readonly SessionEvent<Sent>[]): void {
    for (const event of events) this._on(event);
    // Behind the last: what else they settle is settled.
    if (this.state !== "closed" && this._queue.length > this._options.queueMessages)
      this._act(this._session._abandon(1011, "too many messages"));
  }

  _on(event: SessionEvent<Sent>): void {
    const { _connection: connection, _counts: counts } = this;
    switch (event._type) {
      case "opened": {
        const { _resumed: resumed, _replayed: replayed } = event;
        // The listener of a `reset` has left it.
        if (!connection) return;
        const { transport } = connection._attempt;
        (this as Own).id = event._id;
        counts.attaches++;
        this._note(connection);
        connection._until = this._now() + this._options.postTimeout;
        if (this.state !== "open") this._enter("opened");
        if (this.transport !== transport) this._fire("transport", { transport: ((this as Own).transport = transport) });
        if (!resumed) return this._fire("open");
        counts.reconnects++;
        counts.replayed += replayed;
        return this._fire("resumed", { replayed });
      }
      case "message":
        counts.received++;
        this._queue.push(event._message);
        return this._deliver();
      case "settled":
        counts.acknowledged++;
        return event._tag._resolve();
      case "rejected":
        return this._reject({ _tag: event._tag, _fate: "not_handled" }, "too_large", "above the server's limit");
      case "reset": {
        const { reason, lost } = event._loss;
        for (const send of event._sends) this._reject(send, "reset", "the session was reset: " + reason);
        const sends = event._sends.map(({ _tag, _fate }) => ({ message: _tag._message, fate: _fate }));
        return this._fire("reset", { reason, lost, sends });
      }
      case "renew":
        // Where there are none, the server's `unauthorized` will follow.
        this._ask().then(
          (credentials) => {
            this._session._renew(credentials);
            this._schedule();
          },
          () => {},
        );
        return;
      case "closed":
        return this._finish(event._closing, event._clean, event._sends);
      case "drop":
        if (connection?._link === event._link) this._lost(event._reason, event._retryIn);
    }
  }

  /** It is open, or has ended for that reason. */
  _note({ _attempt: attempt, _since: since }: Connection, reason = ""): void {
    const pending = attempt.outcome === "pending";
    if (pending) attempt.milliseconds = (this._now() - since) * 1000;
    attempt.outcome = !reason ? "open" : pending ? "failed" : "lost";
    attempt.reason = reason;
  }

  /** The connection failed or was cut: decides what to try, and when. */
  _lost(reason: string, retryIn = 0): void {
    const { _attempt: attempt, _since: since, _until: until } = this._connection!;
    const { retryBase, retryMax } = this._options;
    const random = this._env.Math.random();
    const worked = until === Infinity;
    const lasted = worked && reason !== "mute" && this._now() >= since + STEADY;
    if (lasted) this._failures = 0;
    // The server asked for it: no failure (DRN-1), unless it does nothing else.
    if (reason === "drain")
      return this._leave(reason, random * retryIn + (lasted || !this._failures++ ? 0 : backoff(this._failures, random, retryBase, retryMax)));
    if (!lasted) this._tried.push(attempt.transport);
    const all = this._transports.every((name) => this._tried.includes(name));
    if (all || retryIn) this._tried = [];
    // Down the ladder at once; otherwise not all pages in the same moment.
    this._leave(reason, worked || all || retryIn ? retryIn + backoff(this._failures++, random, retryBase, retryMax) : 0);
  }

  /** Leaves the connection, if there is one; the next is tried `wait` seconds later. */
  _leave(reason: string, wait: number): void {
    const { _connection: connection } = this;
    const now = this._now();
    this._connection = undefined;
    // No wait where the server named none.
    this._retryAt = now + (wait || 0);
    this._schedule();
    if (!connection) return;
    this._note(connection, reason);
    connection._wire?._drop();
    this._session._links.delete(connection._link!);
    if (this.state !== "open") return;
    this._enter("lost");
    this._fire("recovering", { reason });
  }

  _reject({ _tag: tag, _fate: fate }: Send<Sent>, code: string, message: string): void {
    if (fate === "handled") tag._resolve();
    else tag._reject(new ChannelError(code, message, fate));
  }

  /** To the listeners, in order; without any, messages wait for one, or for an iterator. */
  _deliver(): void {
    if (this._listened) for (const message of this._queue.splice(0)) this._fire("message", message);
    for (const wake of this._wakers.splice(0)) wake();
  }

  /** The end: the last word is written, everything is settled. */
  _finish({ code, reason, by }: Closing, wasClean: boolean, sends: readonly Send<Sent>[]): void {
    const { _connection: connection } = this;
    this._transmit(this._now());
    if (connection) this._note(connection, reason);
    connection?._wire?._drop(true);
    this._connection = undefined;
    (this as Own).transport = null;
    this._enter("close");
    for (const send of sends) this._reject(send, "closed", `the channel was closed: ${code} ${reason}`);
    this._deliver();
    this._fire("close", { code, reason, by, wasClean });
  }
}
