// The driver: owns connections, the clock and the application's side. What to do is decided by the pure
// core (session.ts, fallback.ts, backoff.ts); here it is done.
import { backoff } from "./backoff.ts";
import { sizeOf } from "./codec.ts";
import { mint } from "./environment.ts";
import type { Environment } from "./environment.ts";
import { ChannelError } from "./errors.ts";
import type { Fate } from "./errors.ts";
import { failure, plainGet } from "./explain.ts";
import type { Attempt } from "./explain.ts";
import { TRANSPORTS, blame, decide } from "./fallback.ts";
import type { Marks, Trial, TransportName } from "./fallback.ts";
import { keep, packMarks, recall, unpackMarks } from "./memory.ts";
import { Session } from "./session.ts";
import type { Closing, Event as SessionEvent, Heard, Link, Message, Send } from "./session.ts";
import { CHANNEL, step } from "./states.ts";
import type { ChannelState } from "./states.ts";
import { longpoll, sse } from "./transports/http.ts";
import type { Transport, Wiring } from "./transports/transport.ts";
import { websocket } from "./transports/websocket.ts";

export interface ChannelOptions {
  /** Which transports may be used, the best first. All three by default. */
  transports?: readonly TransportName[];
  /** A JSON value for the server's `authenticate`, or a function asked for it at each attach. */
  credentials?: unknown;
  /** Send cookies to another origin too. */
  withCredentials?: boolean;
  /** Seconds that each transport has before the next is begun beside it: 1.2. */
  headStart?: number;
  /** Seconds that an attempt may take until it is open: 8. */
  openTimeout?: number;
  /** Seconds that a POST may take: 10. */
  postTimeout?: number;
  /** Seconds that the first retry waits at most: 0.5; doubled by each failure, up to `retryMax`: 30. */
  retryBase?: number;
  retryMax?: number;
  /** Seconds between two probes of better transports while a fallback is used, at most: 300. It begins with 15. */
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
  /** Nobody was reached for so long (two minutes by default) that the session must have expired; it keeps trying. */
  suspended: Event;
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

/** An attempt, and the connection it became; wire and link exist once the credentials are there. */
interface Connection extends Trial {
  readonly _attempt: { -readonly [Field in keyof Attempt]: Attempt[Field] };
  _from: number;
  _failed: boolean;
  readonly _since: number;
  /** When its other end first answered. */
  _reached?: number;
  /** When it must have proven to work, or be given up; never, once it has. */
  _until: number;
  /** `opened` has come: the session may be taken over. */
  _opened?: (SessionEvent<Sent> & { _type: "opened" }) | undefined;
  _openedAt: number;
  /** How many frames came over it, and whether a POST beside it was answered. */
  _frames: number;
  _posted: boolean;
  /** When to replace it by another of its kind. */
  _rotateAt: number;
  /** It brings nothing, though it stands. */
  _mute: boolean;
  _wire?: Transport;
  _link?: Link;
}

/** Read-only to everyone else. */
type Own = { -readonly [Field in "state" | "id" | "transport"]: Channel[Field] };

const OPENERS: { readonly [Name in TransportName]: (wiring: Wiring) => Transport } = { websocket, sse, longpoll };

/** Seconds that a connection must have lasted; what ends before speaks against its transport. */
const STEADY = 5;

/** Seconds in which a stream's second event must follow its first (SSE-1); for how long one that is mute is demoted. */
const SECOND_EVENT = 2;
const MUTE_FOR = 600;

/** Attempts of all transports that may be begun at once; one more for each `retryBase`. */
const BURST = 20;

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
  /** What carries the session; and what else was begun in this round. */
  _carrier: Connection | undefined;
  _trials: Connection[] = [];
  _attempts: Attempt[] = [];
  /** What was learnt against transports. */
  _marks: Marks = {};
  _inquired = false;
  /** Failures in a row. */
  _failures = 0;
  /** How many attempts may be begun, and when that was reckoned. */
  _budget = BURST;
  _budgetAt: number;
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
      headStart = 1.2,
      openTimeout = 8,
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
    this._options = { credentials, withCredentials, headStart, openTimeout, postTimeout, retryBase, retryMax, fallbackFor, queueMessages };
    this._url = new URL(url, environment.document?.baseURI ?? environment.location?.href).href
      .replace(/^ws/, "http")
      .replace(/#.*/, "");
    this._contact = this._budgetAt = this._now();
    this._session = new Session(mint(environment), () => mint(environment));
    this._closed = new Promise((resolve) => this.addEventListener("close", () => resolve()));
    this.transports = transports;
    this._marks = unpackMarks(recall(environment, "localStorage", this._key), this._shift, this._contact);
  }

  get transports(): readonly TransportName[] {
    return this._transports;
  }

  /** What is forbidden now is left at once; the session goes on over another. */
  set transports(names: readonly TransportName[]) {
    if (!names.length || !names.every((name) => TRANSPORTS.includes(name)))
      throw new ChannelError("invalid_argument", "transports: some of " + TRANSPORTS);
    this._transports = [...names];
    // What was learnt under another choice is no verdict against what that forbade.
    this._marks = {};
    const forbidden = ({ _name }: Connection): boolean => !names.includes(_name);
    this._trials = this._trials.filter(({ _failed }) => !_failed);
    for (const trial of this._trials) if (forbidden(trial)) this._leave(trial, "forbidden");
    const { _carrier: carrier } = this;
    if (carrier && forbidden(carrier)) {
      this._leave(carrier, "forbidden");
      this._interrupt("forbidden", 0);
    }
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
      throw new ChannelError("invalid_argument", "code: 1000 or 3000-4999; reason: 123 bytes at most");
    if (!this._session._ours) {
      this._contact = this._now();
      this._session._close(code, reason);
      this.resume();
      // A back-off may be longer than the time that is left.
      if (!this._carrier) this.reconnect();
      // Nothing was ever begun: there is nobody to tell.
      if (!this._session._attaches && !this._session._buffer._entries.length) this._finish({ code, reason, by: "app" }, true, []);
      this._schedule();
    }
    return this._closed;
  }

  /** Drops the connection, and resumes over a new one at once; not while the application has suspended it. */
  reconnect(): void {
    if (this._retryAt < Infinity) this._restart("reconnect", 0);
  }

  /** Goes away: drops the connection, and does not come back before `resume`. */
  suspend(): void {
    this._restart("suspend", Infinity);
    if (this.state !== "closed") this._enter("suspend");
  }

  resume(): void {
    if (this.state !== "suspended") return;
    this._enter("resume");
    this._restart("resume", 0);
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
    if (now >= expiry) {
      this._enter("expire");
      this._fire("suspended");
    }
    for (const connection of this._standing()) if (now >= connection._until) this._lost(connection, "timeout");
    this._act(session._tick(now));
    const next = this._begin(now);
    for (const connection of this._standing())
      // What is not taken yet is not confirmed either (ATT-3).
      if (connection === this._carrier || connection._link?._state === "fresh") this._write(connection, now);
    const due = Math.min(
      giveUp,
      now < expiry ? expiry : Infinity,
      session._deadline,
      next,
      ...this._standing().map(({ _until }) => _until),
    );
    // After a sleep, what has arrived meanwhile comes first: one more turn.
    const turn = (): void => void (this._timer = env.setTimeout(() => this._run(), 0));
    // Timers are cut to 32 bits of milliseconds.
    if (due < Infinity) this._timer = env.setTimeout(turn, Math.min(2 ** 31 - 1, (due - now) * 1000 + 1));
  }

  _write({ _link: link, _wire: wire }: Connection, now: number): void {
    if (link) for (const out of this._session._transmit(link, now)) wire!._send(out);
  }

  /** The connections that are not over. */
  _standing(): Connection[] {
    const { _carrier: carrier, _trials: trials } = this;
    return [...(carrier ? [carrier] : []), ...trials.filter(({ _failed }) => !_failed)];
  }

  /** Begins what is to be begun; answers when to ask again. */
  _begin(now: number): number {
    const { headStart, retryBase } = this._options;
    if (now < this._retryAt) return this._retryAt;
    this._budget = Math.min(BURST, this._budget + (now - this._budgetAt) / retryBase);
    this._budgetAt = now;
    for (;;) {
      const { _carrier: carrier } = this;
      const { _begin: name, _at: at } = decide(
        {
          _allowed: this._transports,
          _marks: this._marks,
          _trials: this._trials,
          _carrier: carrier?._name,
          _rotateAt: carrier?._rotateAt,
          _headStart: headStart,
        },
        now,
      );
      if (!name) return at;
      if (this._budget < 1) return now + retryBase;
      this._budget--;
      void this._connect(name, now);
    }
  }

  async _connect(transport: TransportName, now: number): Promise<void> {
    const { openTimeout, withCredentials, postTimeout } = this._options;
    const connection: Connection = {
      _name: transport,
      _since: now,
      _from: Infinity,
      _failed: false,
      _attempt: { transport, outcome: "pending", reason: "", milliseconds: 0 },
      // For the credentials; once they are there the transport has its own time.
      _until: now + postTimeout,
      _openedAt: 0,
      _frames: 0,
      _posted: false,
      _rotateAt: Infinity,
      _mute: false,
    };
    this._trials.push(connection);
    if (this._attempts.push(connection._attempt) > REMEMBERED) this._attempts.shift();
    this._counts.attempts[transport]++;
    const stands = (): boolean => this._standing().includes(connection);
    try {
      const credentials = await this._ask();
      if (!stands()) return;
      connection._until = (connection._from = this._now()) + openTimeout;
      connection._wire = OPENERS[transport]({
        _env: this._env,
        _url: this._to,
        _cookies: withCredentials ? "include" : "same-origin",
        _timeout: postTimeout * 1000,
        _reached: () => void (connection._reached ??= this._now() - now),
        _hear: (heard) => stands() && this._hear(connection, heard),
      });
      connection._link = this._session._attach(transport, credentials);
      this._schedule();
    } catch (error) {
      if (stands()) this._lost(connection, `${error}`);
    }
  }

  /** The channel's URL with one more segment, the query kept. */
  _to = (segment: string): string => this._url.replace(/\/*(\?.*)?$/, `/${segment}$1`);

  /** The credentials for this attach. */
  async _ask(): Promise<unknown> {
    const { credentials } = this._options;
    return typeof credentials === "function" ? (credentials as () => unknown)() : credentials;
  }

  _hear(connection: Connection, heard: Heard): void {
    const now = this._now();
    const answers = heard._type === "answer";
    if (heard._type === "frame") connection._frames++;
    this._act(this._session._hear(connection._link!, heard, now));
    this._schedule();
    if (connection._opened && connection._frames > 1) this._take(connection);
    // Anything on the way answers too: only what is understood, and attached, was the server.
    if (connection !== this._carrier || (answers && heard._status !== 200)) return;
    this._contact = now;
    connection._posted ||= answers;
    const { _name: name, _openedAt: openedAt } = connection;
    if (name === "sse") {
      // An event stream works once it is known that it brings more than its beginning, and that POSTs get through.
      if (connection._frames < 2) return;
      if (!connection._posted) return void (connection._until = openedAt + this._options.postTimeout);
    }
    connection._until = Infinity;
    if (this._marks[name] && now >= openedAt + STEADY) this._forgive(name);
  }

  _act(events: readonly SessionEvent<Sent>[]): void {
    for (const event of events) this._on(event);
    // Behind the last: what else they settle is settled.
    if (this.state !== "closed" && this._queue.length > this._options.queueMessages)
      this._act(this._session._abandon(1011, "too many messages wait for a listener"));
  }

  _on(event: SessionEvent<Sent>): void {
    const { _counts: counts } = this;
    switch (event._type) {
      case "opened": {
        const connection = this._trials.find(({ _link }) => _link === event._link);
        // The listener of a `reset` has left it.
        if (!connection) return;
        connection._opened = event;
        connection._openedAt = this._now();
        // A stream takes over from what works once it brings more than its beginning.
        if (this._carrier && connection._name === "sse") connection._until = connection._openedAt + SECOND_EVENT;
        else this._take(connection);
        return;
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
      case "drop": {
        const connection = this._standing().find(({ _link }) => _link === event._link);
        if (connection) this._lost(connection, event._reason, event._retryIn);
      }
    }
  }

  /** `connection` gets the session; what else stands is left, save what is better and may still answer. */
  _take(connection: Connection): void {
    const { _carrier: old, _counts: counts, _trials: trials, _transports: ranks } = this;
    const { _name: name, _openedAt: openedAt, _opened: event } = connection;
    const { _resumed: resumed, _replayed: replayed, _id: id } = event!;
    const rank = ranks.indexOf(name);
    connection._opened = undefined;
    this._trials = trials.filter((trial) => trial !== connection);
    this._carrier = connection;
    this._note(connection, "open");
    connection._until = openedAt + (name === "sse" && connection._frames < 2 ? SECOND_EVENT : this._options.postTimeout);
    if (old) this._leave(old, "replaced");
    for (const trial of this._trials)
      if (!trial._failed) ranks.indexOf(trial._name) < rank || this._leave(trial, "not needed");
      else if (trial._name !== name) this._blame(trial);
    this._trials = this._trials.filter(({ _failed }) => !_failed);
    (this as Own).id = id;
    counts.attaches++;
    const wasOpen = this.state === "open";
    if (!wasOpen) this._enter("opened");
    // Nothing was missed: what is on its way twice is no replay.
    else this._session._replay = 0;
    if (this.transport !== name) this._fire("transport", { transport: ((this as Own).transport = name) });
    if (!resumed) return this._fire("open");
    if (wasOpen) return;
    counts.reconnects++;
    counts.replayed += replayed;
    this._fire("resumed", { replayed });
  }

  /** `trial` failed while another worked: that speaks against its transport. */
  _blame(trial: Connection): void {
    const { _name: name, _attempt: attempt, _mute: mute } = trial;
    const { fallbackFor } = this._options;
    const [least, most] = mute ? [MUTE_FOR, MUTE_FOR] : [undefined, fallbackFor];
    this._marks[name] = blame(this._marks[name], this._now(), this._env.Math.random(), most, least);
    this._remember();
    // A browser hides why an upgrade failed: a plain GET tells. Once.
    if (name !== "websocket" || trial._openedAt || this._inquired) return;
    this._inquired = true;
    const tell = (status: number, text: string): void => void (attempt.reason += "; " + plainGet(status, text));
    this._env.fetch(this._to(name), { cache: "no-store" }).then(
      async (response) => tell(response.status, await response.text()),
      () => tell(0, ""),
    );
  }

  _forgive(name: TransportName): void {
    delete this._marks[name];
    this._remember();
  }

  _remember(): void {
    keep(this._env, "localStorage", this._key, packMarks(this._marks, this._shift));
  }

  /** Marks are kept for each origin of a server. */
  get _key(): string {
    return "onechannel " + new URL(this._url).origin;
  }

  /** Seconds from our clock to that of the wall. */
  get _shift(): number {
    return this._env.Date.now() / 1000 - this._now();
  }

  _note({ _attempt: attempt, _since: since }: Connection, outcome: Attempt["outcome"], reason = ""): void {
    if (attempt.outcome === "pending") attempt.milliseconds = (this._now() - since) * 1000;
    attempt.outcome = outcome;
    attempt.reason = reason;
  }

  /** The connection failed or was cut: decides what becomes of it, and when another is tried. */
  _lost(connection: Connection, reason: string, retryIn = 0): void {
    const now = this._now();
    const random = this._env.Math.random();
    const { retryBase, retryMax } = this._options;
    const retry = (): number => retryIn + backoff(this._failures++, random, retryBase, retryMax);
    const { _name: name, _since: since, _until: until, _openedAt: openedAt, _reached: reached } = connection;
    const { _trials: trials, _transports: allowed } = this;
    const drain = reason === "drain";
    connection._mute = reason === "mute" || (reason === "timeout" && !!openedAt && connection._frames < 2);
    if (reason === "timeout" && openedAt) reason = connection._mute ? "mute" : "no answer in time";
    const carried = connection === this._carrier;
    const worked = carried && until === Infinity;
    const lasted = worked && !connection._mute && now >= since + STEADY;
    this._leave(connection, failure(name, reason, reached, now - since), carried ? "lost" : "failed");
    if (lasted) this._failures = 0;
    // Asked for by the server, or of another session: no failure (DRN-1).
    const failed = !lasted && !drain && !retryIn && !/^(superseded|reset)$/.test(reason);
    if (!carried && this._carrier) {
      if (name === this._carrier._name) this._carrier._rotateAt = Infinity;
      else if (failed || drain || retryIn) this._blame(connection);
      // It answered, though another was first.
      else this._forgive(name);
      return;
    }
    let all = false;
    if (failed) {
      connection._failed = true;
      this._trials = carried ? [...trials, connection] : trials;
      // That is an outage, no verdict against any: a new round, later.
      all = allowed.every((name) => this._trials.some((trial) => trial._failed && trial._name === name));
      if (all) this._trials = this._trials.filter((trial) => !trial._failed);
    }
    // Down the ladder at once; otherwise not all pages in the same moment.
    const wait = drain
      ? random * retryIn + (lasted || !this._failures++ ? 0 : backoff(this._failures, random, retryBase, retryMax))
      : worked || all || retryIn
        ? retry()
        : 0;
    this._interrupt(reason, carried ? wait : Math.max(wait, this._retryAt - now));
  }

  /** Leaves a connection, without a verdict where no `outcome` is given. */
  _leave(connection: Connection, reason: string, outcome?: Attempt["outcome"]): void {
    this._note(connection, outcome ?? (connection._attempt.outcome === "pending" ? "left" : "lost"), reason);
    connection._opened = undefined;
    connection._wire?._drop();
    this._session._links.delete(connection._link!);
    this._trials = this._trials.filter((trial) => trial !== connection);
    if (this._carrier === connection) this._carrier = undefined;
  }

  /** Leaves all, and begins anew `wait` seconds later. */
  _restart(reason: string, wait: number): void {
    for (const connection of [...this._standing(), ...this._trials]) if (!connection._failed) this._leave(connection, reason);
    this._trials = [];
    this._interrupt(reason, wait);
  }

  /** Nothing carries the session; what is tried next, is so `wait` seconds later. */
  _interrupt(reason: string, wait: number): void {
    // No wait where the server named none.
    this._retryAt = Math.max(this._now() + (wait || 0), 0);
    this._schedule();
    const next = this._trials.find(({ _opened }) => _opened);
    if (next) return this._take(next);
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
    for (const connection of this._standing()) {
      if (connection._link?._state === "open") this._write(connection, this._now());
      connection._wire?._drop(true);
    }
    this._carrier = undefined;
    this._trials = [];
    (this as Own).transport = null;
    this._enter("close");
    for (const send of sends) this._reject(send, "closed", `the channel was closed: ${code} ${reason}`);
    this._deliver();
    this._fire("close", { code, reason, by, wasClean });
  }
}
