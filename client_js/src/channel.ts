// The driver: owns connections, the clock and the application's side. What to do is decided by the pure
// core (session.ts, fallback.ts, backoff.ts); here it is done.
import { backoff } from "./backoff.ts";
import { sizeOf } from "./codec.ts";
import type { Connection } from "./connection.ts";
import { randomId } from "./environment.ts";
import type { Environment } from "./environment.ts";
import { ChannelError } from "./errors.ts";
import type { Closing, Input, Message, SendFate, SessionEvent } from "./events.ts";
import { failure, plainGet } from "./explain.ts";
import type { Attempt } from "./explain.ts";
import { TRANSPORTS, blame, decide } from "./fallback.ts";
import type { Marks } from "./fallback.ts";
import type { TransportName } from "./frames.ts";
import { listen } from "./page_lifecycle.ts";
import { keepMarks, recallMarks } from "./saved_marks.ts";
import { DEFAULTS } from "./options.ts";
import type { ChannelEventMap, ChannelOptions, Statistics } from "./options.ts";
import { ClientSession } from "./session.ts";
import { finalPost } from "./uplink.ts";
import { CHANNEL, step } from "./states.ts";
import type { ChannelState } from "./states.ts";
import { acquireSlot } from "./connection_slots.ts";
import { longpoll, postFinally, sse } from "./transports/http.ts";
import type { Transport, Wiring } from "./transports/interface.ts";
import { websocket } from "./transports/websocket.ts";

/** A message on its way. */
interface Sent {
  readonly message: unknown;
  readonly resolve: () => void;
  readonly reject: (error: ChannelError) => void;
}

/** Read-only to everyone else. */
type Own = { -readonly [Field in "state" | "id" | "transport"]: Channel[Field] };

const OPENERS: { readonly [Name in TransportName]: (wiring: Wiring) => Transport } = { websocket, sse, longpoll };

/** Seconds that a connection must have lasted; what ends before speaks against its transport. */
const STEADY_AFTER = 5;

/** Seconds in which a stream's second event must follow its first (SSE-1). */
const SECOND_EVENT_TIMEOUT = 2;

/** Seconds that a timer may be late, and that the connection has to show itself once one was later: the page slept. */
const TIMER_SLIP_THRESHOLD = 2;

/** How many attempts `explain()` remembers. */
const MAX_ATTEMPT_HISTORY = 50;

/** One message channel to the server at `url`, over whichever transport works. */
export class Channel extends EventTarget {
  _env: Environment;
  _options: typeof DEFAULTS & Pick<ChannelOptions, "credentials" | "withCredentials">;
  _url: string;
  _session: ClientSession<Sent>;
  readonly state: ChannelState = "connecting";
  /** The session's public name, fit for logs; null before the first. */
  readonly id: string | null = null;
  /** The transport in use, or that was used last; null before the first and when closed. */
  readonly transport: TransportName | null = null;
  _transports!: readonly TransportName[];
  /** The server asked us to wait until then. */
  _askedAt = 0;
  /** What ends with the channel: the listeners to the page. */
  _life = new AbortController();
  _hidden?: boolean;
  /** At which ages the last two connections were lost, by transport. */
  _ages: { [Name in TransportName]?: readonly (number | undefined)[] } = {};
  /** What carries the session; and what else was begun in this round. */
  _active: Connection | undefined;
  /** What carried it last. Some browsers end connections before they tell the page that it goes. */
  _last: Connection | undefined;
  _trials: Connection[] = [];
  _attempts: Attempt[] = [];
  /** What was learnt against transports. */
  _marks: Marks = {};
  _inquired?: boolean;
  /** The right to hold a connection, and how it is given back. */
  _slot: Promise<boolean> | undefined;
  _leaveSlot: (() => void) | undefined;
  /** Since when all fails: the channel was made, or what was steady ended; later by the time that was carried since. */
  _failing: number;
  /** Since when the session is carried, where it is. */
  _activeSince!: number;
  /** When the retry budget, one for all, allows the next two attempts. */
  _free: number[] = [0, 0];
  /** When to try again; never, while suspended by the application. */
  _retryAt = 0;
  /** When the server was last heard, or the application closed. */
  _contact: number;
  _timer: ReturnType<Environment["setTimeout"]> | undefined;
  _scheduled?: boolean;
  /** Received, and not taken yet. */
  _queue: Message[] = [];
  _listened?: boolean;
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
    options: ChannelOptions = {},
    environment: Environment = globalThis,
  ) {
    super();
    this._env = environment;
    this._options = { ...DEFAULTS };
    // An option that is undefined is one that is not given.
    for (const [name, value] of Object.entries(options)) if (value !== undefined) this._options[name as "transports"] = value;
    this._url = new URL(url, environment.document?.baseURI ?? environment.location?.href).href
      .replace(/^ws/, "http")
      .replace(/#.*/, "");
    this._contact = this._failing = this._now();
    this._session = new ClientSession(
      randomId(environment),
      () => randomId(environment),
      typeof options.credentials === "function",
    );
    this._closed = new Promise((resolve) => this.addEventListener("close", () => resolve()));
    this.transports = this._options.transports;
    listen(environment, this, this._life.signal);
    this._marks = recallMarks(environment, this._url, this._contact);
  }

  /** Whether the connection stands is to be seen: what has arrived meanwhile comes first. */
  _wake(): void {
    this._env.setTimeout(() => this._check(), 0);
  }

  _check(): void {
    const { _active: active } = this;
    const now = this._now();
    if (active) {
      // A POST would tell nothing of the downlink: a new connection beside it does.
      if (active.name !== "websocket") active.rotateAt = now;
      this._session.probe(active.link!, now + TIMER_SLIP_THRESHOLD);
    } else if (this._retryAt < Infinity) {
      this._failing = now;
      this._retryAt = this._askedAt;
    }
    this._schedule();
  }

  /** What was learnt of another network is to be seen again. */
  _moved(): void {
    this._marks = {};
    this._wake();
  }

  _hide(persisted: boolean): void {
    if (this._retryAt === Infinity) return;
    const { _last: last } = this;
    if (last) postFinally(last.wiring!, finalPost(this._session, last.link!));
    // A page with connections is not kept, or finds them dead.
    this._hidden = persisted;
    if (persisted) this._restart("pagehide", Infinity);
  }

  _show(): void {
    if (this._hidden) this._restart("pageshow", 0);
    this._hidden = false;
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
    const { _active: active } = this;
    this._trials = this._trials.filter(({ failed }) => !failed);
    for (const connection of this._live()) if (!names.includes(connection.name)) this._leave(connection, "forbidden");
    if (active && !this._active) this._interrupt("forbidden", 0);
    this._schedule();
  }

  /**
   * Sends a JSON value, an ArrayBuffer or a Uint8Array. Settles once the server's application has finished
   * with it (MRK-3); rejects with a `ChannelError`, whose `fate` tells what is known of it.
   */
  send(message: unknown): Promise<void> {
    const promise = new Promise<void>((resolve, reject) => {
      if (this._session.outbox.buffer.entries.length >= this._options.queueMessages)
        throw new ChannelError("buffer_full", "await sends");
      this._session.send(message, { message, resolve, reject });
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
    if (!this._session.closing) {
      this._contact = this._now();
      this._session.close(code, reason);
      this.resume();
      // A back-off may be longer than the time that is left.
      if (!this._live().length) this.reconnect();
      // Nothing was ever begun: there is nobody to tell.
      if (!this._session.attaches && !this._session.outbox.buffer.entries.length) this._finish({ code, reason, by: "app" }, true, []);
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
    const giveUp = session.closing ? this._contact + session.terms.closing : Infinity;
    if (now >= giveUp) return this._act(session.abandon(1001, "unreachable"));
    const expiry = this.state === "recovering" ? this._contact + session.terms.ttl : Infinity;
    if (now >= expiry) {
      this._enter("expire");
      this._fire("suspended");
    }
    for (const connection of this._live()) if (now >= connection.until) this._lost(connection, "timeout");
    this._act(session.tick(now));
    const next = this._begin(now);
    for (const connection of this._live())
      // What is not taken yet is not confirmed either (ATT-3).
      if (connection === this._active || connection.link?.state === "fresh") this._write(connection, now);
    const due = Math.min(
      giveUp,
      now < expiry ? expiry : Infinity,
      session.deadline,
      next,
      ...this._live().map(({ until }) => until),
    );
    // After a sleep, what has arrived meanwhile comes first: one more turn.
    const turn = (): unknown => (this._now() > due + TIMER_SLIP_THRESHOLD ? this._wake() : (this._timer = env.setTimeout(() => this._run(), 0)));
    // Timers are cut to 32 bits of milliseconds.
    if (due < Infinity) this._timer = env.setTimeout(turn, Math.min(2 ** 31 - 1, (due - now) * 1000 + 1));
  }

  _write({ link, wire }: Connection, now: number): void {
    if (link) for (const out of this._session.transmit(link, now)) wire!.send(out);
  }

  /** The connections that are not over. */
  _live(): Connection[] {
    return [this._active, ...this._trials].filter((connection) => connection && !connection.failed) as Connection[];
  }

  /** Begins what is to be begun; answers when to ask again. */
  _begin(now: number): number {
    if (now < this._retryAt) return this._retryAt;
    for (;;) {
      const next = decide(this._transports, this._marks, this._trials, this._active, this._options.headStart, now);
      if (typeof next === "number") return next;
      const [free] = this._free;
      if (free! > now) return free!;
      this._spend(() => this._connect(next, now));
    }
  }

  /** Does what counts as an attempt, so many seconds later, or once the retry budget allows it. */
  _spend(act: () => unknown, wait = 0): void {
    const now = this._now();
    const at = Math.max(now + wait, this._free.shift()!);
    this._free.push(at + 2.5 * Math.min(0.5, this._options.retryBase));
    if (at > now) this._env.setTimeout(act, (at - now) * 1000);
    else act();
  }

  async _connect(transport: TransportName, now: number): Promise<void> {
    const { openTimeout, withCredentials, postTimeout } = this._options;
    const connection: Connection = {
      name: transport,
      since: now,
      from: Infinity,
      attempt: { transport, outcome: "pending", reason: "", milliseconds: 0 },
      // For the credentials; once they are there the transport has its own time.
      until: now + postTimeout,
      openedAt: 0,
      frames: 0,
      rotateAt: Infinity,
    };
    this._trials.push(connection);
    if (this._attempts.push(connection.attempt) > MAX_ATTEMPT_HISTORY) this._attempts.shift();
    this._counts.attempts[transport]++;
    const stands = (): boolean => this._live().includes(connection);
    try {
      const credentials = await this._ask();
      const held = transport === "websocket" || !stands() || (await this._acquireSlot());
      if (!stands()) return;
      if (transport === "longpoll") this._session.polls.allowHold(!!held);
      else if (!held && this._transports.includes("longpoll")) throw "too many tabs";
      connection.until = (connection.from = this._now()) + openTimeout;
      connection.wiring = {
        env: this._env,
        url: this._to,
        cookies: withCredentials ? "include" : "same-origin",
        timeout: postTimeout * 1000,
        reached: () => (connection.reached ??= this._now() - now),
        // Also of a POST that was left: it may have been an attempt.
        hear: (heard) => (stands() || (heard.type === "answer" && heard.request === "post")) && this._hear(connection, heard),
      };
      connection.wire = OPENERS[transport](connection.wiring);
      connection.link = this._session.attach(transport, credentials);
      this._schedule();
    } catch (error) {
      if (stands()) this._lost(connection, `${error}`);
    }
  }

  /** Whether a connection may be held: one channel needs one slot, whatever it begins. */
  async _acquireSlot(): Promise<boolean | undefined> {
    this._slot ??= acquireSlot(this._env, this._url, new Promise((leave) => (this._leaveSlot = leave)));
    const { _slot: slot } = this;
    const taken = await slot;
    if (!taken && this._slot === slot) this._slot = undefined;
    return taken;
  }

  _releaseSlot(): void {
    this._leaveSlot?.();
    this._slot = undefined;
  }

  /** The channel's URL with one more segment, the query kept. */
  _to = (segment: string): string => this._url.replace(/\/*(\?.*)?$/, `/${segment}$1`);

  /** The credentials for this attach. */
  async _ask(): Promise<unknown> {
    const { credentials } = this._options;
    return typeof credentials === "function" ? (credentials as () => unknown)() : credentials;
  }

  _hear(connection: Connection, heard: Input): void {
    const now = this._now();
    const answers = heard.type === "answer" ? heard.request : undefined;
    const failed = heard.type === "answer" && heard.status !== 200;
    if (heard.type === "frame") connection.frames++;
    const tell = (): void => {
      this._act(this._session.handleInput(connection.link!, heard, now));
      this._schedule();
    };
    // What failed is repeated, or leads to another connection: an attempt. A POST waits: where all was cut, the
    // downlink tells by then, and nothing is repeated in vain.
    if (failed && answers !== "open") this._spend(tell, answers === "post" ? 0.25 : 0);
    else tell();
    if (connection.opened && connection.frames > 1 && this.state !== "closed") this._take(connection);
    // Anything on the way answers too: only what is understood, and attached, was the server.
    if (connection !== this._active || failed) return;
    this._contact = now;
    connection.posted ||= answers;
    const { name, openedAt } = connection;
    const streams = name === "sse";
    // An event stream works once it is known that it brings more than its beginning, and that POSTs get through.
    if (streams && connection.frames < 2) return;
    connection.until = streams && !connection.posted ? openedAt + this._options.postTimeout : Infinity;
    if (this._marks[name] && now >= openedAt + STEADY_AFTER) this._forgive(name);
  }

  _act(events: readonly SessionEvent<Sent>[]): void {
    for (const event of events) this._on(event);
    // Behind the last: what else they settle is settled.
    if (this.state !== "closed" && this._queue.length > this._options.queueMessages)
      this._act(this._session.abandon(1011, "too many messages"));
  }

  _on(event: SessionEvent<Sent>): void {
    switch (event.type) {
      case "opened": {
        const connection = this._trials.find(({ link }) => link === event.link);
        // The listener of a `reset` has left it.
        if (!connection) return;
        connection.opened = event;
        connection.until = (connection.openedAt = this._now()) + SECOND_EVENT_TIMEOUT;
        // Another was confirmed meanwhile, which the server did not know yet.
        if (connection.link!.attach < this._session.confirmed) return this._lost(connection, "superseded");
        // A stream takes over from what works once it brings more than its beginning.
        if (!this._active || connection.name !== "sse") this._take(connection);
        return;
      }
      case "message":
        this._counts.received++;
        this._queue.push(event.message);
        return this._deliver();
      case "settled":
        this._counts.acknowledged++;
        return event.tag.resolve();
      case "rejected":
        return this._reject({ tag: event.tag, fate: "not_handled" }, "too_large", "above the limit");
      case "reset": {
        const { reason, lost } = event.loss;
        for (const send of event.sends) this._reject(send, "reset", "reset: " + reason);
        const sends = event.sends.map(({ tag, fate }) => ({ message: tag.message, fate: fate }));
        return this._fire("reset", { reason, lost, sends });
      }
      case "renewal":
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
        return this._finish(event.closing, event.clean, event.sends);
      case "dropped": {
        const connection = this._live().find(({ link }) => link === event.link);
        // One below what was confirmed goes with that: no verdict against it.
        const goes = !this._active && event.link.attach < this._session.confirmed;
        if (connection) this._lost(connection, goes ? "superseded" : event.reason, event.retryIn);
      }
    }
  }

  /** `connection` gets the session; what else stands is left, save what is better and may still answer. */
  _take(connection: Connection): void {
    const { _active: old, _counts: counts } = this;
    const { name, openedAt } = connection;
    const { resumed, replayed, id } = connection.opened!;
    const others = this._trials.filter((trial) => trial !== connection);
    connection.opened = undefined;
    this._trials = others.filter(({ failed }) => !failed);
    this._last = this._active = connection;
    this._note(connection, "", "open");
    // Polls too: who has no slot looks for one.
    connection.rotateAt = openedAt + 0.8 * Math.min(this._cutAt(name), (name !== "websocket" && this._session.terms.stream) || Infinity);
    if (name === "websocket") this._releaseSlot();
    if (old) this._leave(old, "replaced");
    else this._activeSince = this._now();
    for (const trial of others)
      if (!trial.failed) (this._transports.indexOf(trial.name) < this._transports.indexOf(name) && !trial.opened) || this._leave(trial, "not needed");
      else if (trial.name !== name) this._blame(trial);
    const fresh = this.id !== id;
    (this as Own).id = id;
    counts.attaches++;
    const wasOpen = this.state === "open";
    if (!wasOpen) this._enter("opened");
    // Nothing was missed: what is on its way twice is no replay.
    else this._session.replayUpTo = 0;
    if (this.transport !== name) this._fire("transport", { transport: ((this as Own).transport = name) });
    // Two attaches of a race may each be told that the session is new.
    if (fresh) return this._fire("open");
    if (wasOpen || !resumed) return;
    counts.reconnects++;
    counts.replayed += replayed;
    this._fire("resumed", { replayed });
  }

  /** `trial` failed while another worked: that speaks against its transport. */
  _blame(trial: Connection): void {
    const { name, attempt } = trial;
    this._marks[name] = blame(this._marks[name], trial.mute, this._now(), this._env.Math.random(), this._options.fallbackFor);
    this._remember();
    // A browser hides why an upgrade failed: a plain GET tells. Once.
    if (name !== "websocket" || trial.openedAt || this._inquired) return;
    this._inquired = true;
    this._spend(() =>
      this._env
        .fetch(this._to(name), { cache: "no-store" })
        .then(async (response) => plainGet(response.status, await response.text()))
        .catch(() => plainGet())
        .then((words) => (attempt.reason += words)),
    );
  }

  _forgive(name: TransportName): void {
    delete this._marks[name];
    this._remember();
  }

  _remember(): void {
    keepMarks(this._env, this._url, this._marks, this._now());
  }

  /** What was open is lost, for that reason; what is pending has this `outcome`. */
  _note({ attempt, since }: Connection, reason: string, outcome: Attempt["outcome"] = "left"): void {
    if (attempt.outcome === "pending") attempt.milliseconds = (this._now() - since) * 1000;
    else outcome = "lost";
    attempt.outcome = outcome;
    attempt.reason = reason;
  }

  /** The connection failed or was cut: decides what becomes of it, and when another is tried. */
  _lost(connection: Connection, reason: string, retryIn = 0): void {
    const now = this._now();
    const random = this._env.Math.random();
    const { _options: options, _trials: trials } = this;
    const { name, since, openedAt } = connection;
    const drain = reason === "drain";
    if (reason === "timeout" && openedAt) reason = connection.frames < 2 ? "mute" : "silent";
    const mute = (connection.mute = reason === "mute");
    const carried = connection === this._active;
    const worked = carried && connection.until === Infinity && !mute;
    this._leave(connection, failure(name, reason, connection.reached, now - since), "failed");
    if (worked) this._ages[name] = [now - openedAt, this._ages[name]?.[0]];
    // What is always cut at one age is as good as steady until then.
    const steady = worked && (now >= since + STEADY_AFTER || this._cutAt(name) < Infinity);
    if (steady) this._failing = now;
    // Asked for by the server, or of another session: no failure (DRN-1).
    const failed = !steady && !drain && !retryIn && !/^(superseded|reset|unauthorized)$/.test(reason);
    if (!carried && this._active) {
      if (name === this._active.name) this._active.rotateAt = now + options.retryMax;
      else if (failed || drain || retryIn) this._blame(connection);
      // It answered, though another was first.
      else this._forgive(name);
      if (retryIn) this._retryAt = now + retryIn;
      return;
    }
    let all = false;
    if (failed) {
      connection.failed = true;
      this._trials = carried ? [...trials, connection] : trials;
      // That is an outage, no verdict against any: a new round, later.
      all = this._trials.every(({ failed }) => failed) && new Set(this._trials.map(({ name }) => name)).size >= this._transports.length;
      if (all) this._trials = [];
    }
    // Down the ladder at once; otherwise not all pages in the same moment.
    let wait = drain ? random * retryIn : retryIn;
    if (drain ? !steady : worked || all || retryIn) wait += backoff(now - this._failing, random, options.retryBase, options.retryMax);
    if (retryIn) this._askedAt = now + wait;
    this._interrupt(reason, carried ? wait : Math.max(wait, this._retryAt - now));
  }

  /** The age at which something cuts connections over `name`; never, unless the last two were of one age. */
  _cutAt(name: TransportName): number {
    const [last = 0, before = 0] = this._ages[name] ?? [];
    return last > 2 && Math.abs(last - before) < 1 + last / 20 ? last : Infinity;
  }

  /** Leaves a connection, without a verdict where no `outcome` is given. */
  _leave(connection: Connection, reason: string, outcome?: Attempt["outcome"]): void {
    this._note(connection, reason, outcome);
    connection.opened = undefined;
    connection.wire?.drop();
    this._session.remove(connection.link!);
    this._trials = this._trials.filter((trial) => trial !== connection);
    if (this._active !== connection) return;
    this._active = undefined;
    // Time in which something worked is no outage; what was before, if it was long, is over.
    const now = this._now();
    this._failing = now > this._activeSince + STEADY_AFTER ? now : this._failing + now - this._activeSince;
  }

  /** Leaves all, and begins anew `wait` seconds later. */
  _restart(reason: string, wait: number): void {
    for (const connection of this._live()) this._leave(connection, reason);
    this._trials = [];
    this._releaseSlot();
    // Nobody's outage: the application or the page wanted it.
    this._failing = this._now();
    this._interrupt(reason, wait);
  }

  /** Nothing carries the session; what is tried next, is so `wait` seconds later. */
  _interrupt(reason: string, wait: number): void {
    // No wait where the server named none.
    this._retryAt = this._now() + (wait || 0);
    this._schedule();
    const next = this._trials.find(({ opened }) => opened);
    if (next) this._take(next);
    else if (this.state === "open") {
      this._enter("lost");
      this._fire("recovering", { reason });
    }
  }

  _reject({ tag, fate }: SendFate<Sent>, code: string, message: string): void {
    if (fate === "handled") tag.resolve();
    else tag.reject(new ChannelError(code, message, fate));
  }

  /** To the listeners, in order; without any, messages wait for one, or for an iterator. */
  _deliver(): void {
    if (this._listened) for (const message of this._queue.splice(0)) this._fire("message", message);
    for (const wake of this._wakers.splice(0)) wake();
  }

  /** The end: the last word is written, everything is settled. */
  _finish({ code, reason, by }: Closing, wasClean: boolean, sends: readonly SendFate<Sent>[]): void {
    for (const connection of this._live()) {
      if (connection.link?.state === "open") this._write(connection, this._now());
      this._note(connection, reason, "failed");
      connection.wire?.drop(true);
    }
    this._active = undefined;
    this._trials = [];
    this._life.abort();
    this._releaseSlot();
    (this as Own).transport = null;
    this._enter("close");
    for (const send of sends) this._reject(send, "closed", "closed: " + code + " " + reason);
    this._deliver();
    this._fire("close", { code, reason, by, wasClean });
  }
}
