// The connector: keeps one connection active, over the best transport that works.
//
// Without an active connection, several are raced. With one, better transports are probed in parallel, and it is
// replaced before an intermediary would cut it. fallback.ts decides which transport to start and backoff.ts when to
// retry; this file does it. Invariants:
// - A connection is live from its creation until it is dropped; its later reports are ignored.
// - `_trials` holds the connections of this round that are not active: live ones, and failed ones whose transport may
//   get a penalty once another works.
// - Everything that counts as an attempt is subject to the retry budget.
import { backoff } from "./backoff.ts";
import type { Connection } from "./connection.ts";
import { TOO_MANY_TABS } from "./connection_slots.ts";
import type { ConnectorListener } from "./connector_listener.ts";
import { Dialer } from "./dialer.ts";
import type { DialerHost } from "./dialer.ts";
import { readClock, supportedTransports } from "./environment.ts";
import type { Environment } from "./environment.ts";
import type { Attached, Closing, Input, LinkDropped, Output } from "./events.ts";
import { describeFailure, recordOutcome } from "./explain.ts";
import type { Attempt } from "./explain.ts";
import { FIRST_WAIT, checkTransports, isOutage, nextAttempt } from "./fallback.ts";
import type { TransportName } from "./frames.ts";
import { Lifetimes } from "./lifetimes.ts";
import type { Options } from "./options.ts";
import { Outage, STEADY_AFTER } from "./outage.ts";
import { PenaltyStore } from "./penalties.ts";
import type { ClientSession } from "./session.ts";
import { silenceTimeout } from "./terms.ts";

/** Seconds within which a stream's second event must follow its first (SSE-1). */
const SECOND_EVENT_TIMEOUT = 2;
/** Seconds within which a WebSocket that may have died must show that it is alive. */
const PROBE_TIMEOUT = 2;
/** Seconds before a POST that failed is repeated. */
const POST_RETRY_DELAY = 0.25;
/** The share of its lifetime after which a connection is replaced, before it is cut. */
const ROTATION_SHARE = 0.8;

/** The connections of a channel, of which one is active. */
export class Connector implements DialerHost {
  /** The connection that carries the session. */
  active: Connection | undefined;
  /** The last active connection, for the final POST: some browsers close connections before they fire `pagehide`. */
  lastActive: Connection | undefined;
  transports: readonly TransportName[];
  /** When to retry if no connection is active; infinite while suspended or in the back/forward cache. */
  retryAt = 0;
  readonly penalties: PenaltyStore;
  readonly dialer: Dialer;
  private readonly _session: ClientSession<unknown>;
  private readonly _options: Options;
  private readonly _environment: Environment;
  private readonly _listener: ConnectorListener;
  private _trials: Connection[] = [];
  /** The transports, and polls if they have to stand in for a stream that got no slot. */
  private _usable: readonly TransportName[];
  /** The server asked us not to reconnect before this time. */
  private _askedToWaitUntil = 0;
  private _outage: Outage;
  private readonly _lifetimes = new Lifetimes();

  constructor(
    session: ClientSession<unknown>,
    url: string,
    options: Options,
    environment: Environment,
    listener: ConnectorListener,
  ) {
    this._usable = this.transports = supportedTransports(environment, options.transports);
    this.penalties = new PenaltyStore(environment, url, options.fallbackFor);
    this.dialer = new Dialer(session, url, options, environment);
    this._session = session;
    this._options = options;
    this._environment = environment;
    this._listener = listener;
    this._outage = new Outage(readClock(environment));
  }

  /** The connections that are not over. */
  get live(): Connection[] {
    const trials = this._trials.filter(({ failed }) => !failed);
    return this.active ? [this.active, ...trials] : trials;
  }

  /** When to call `dropOverdue`. */
  get deadline(): number {
    return Math.min(...this.live.map(({ deadline }) => deadline));
  }

  isLive(connection: Connection): boolean {
    return this.live.includes(connection);
  }

  /** Uses only these transports, best first. Drops connections over others; the session continues. */
  setTransports(names: readonly TransportName[]): void {
    this._usable = this.transports = supportedTransports(this._environment, checkTransports(names));
    // The penalties were learned with a different set of transports.
    this.penalties.clear();
    this._trials = this._trials.filter(({ failed }) => !failed);
    const { active } = this;
    for (const connection of this.live)
      if (!this.transports.includes(connection.transport)) this._disconnect(connection, "forbidden");
    if (this.transports.every((name) => name === "websocket")) this.dialer.slot.release();
    if (active && !this.active) this._scheduleRetry("forbidden", this._askedToWaitUntil - readClock(this._environment));
    this._listener.schedule();
  }

  /** Starts the attempts that are due. Returns when to call it again. */
  startDue(now: number): number {
    if (now < this.retryAt) return this.retryAt;
    for (;;) {
      const { headStart } = this._options;
      const next = nextAttempt(this._usable, this.penalties.current, this._trials, this.active, headStart, now);
      if (typeof next === "number") return next;
      const { freeAt } = this.dialer.budget;
      if (freeAt > now) return freeAt;
      void this._connect(next, now);
    }
  }

  /** Writes the session's pending output. */
  transmit(now: number): void {
    for (const connection of this.live) {
      // A trial that has not taken over must not confirm its attach (ATT-3): it writes its `open` only.
      if (connection === this.active || connection.link?.state === "fresh") this._write(connection, now);
    }
  }

  /** Drops the connections that have missed their deadline. */
  dropOverdue(now: number): void {
    for (const connection of this.live) if (now >= connection.deadline) this._handleFailure(connection, "timeout");
  }

  /** The attach of a connection was answered. */
  onAttached(attached: Attached): void {
    const connection = this._trials.find(({ link }) => link === attached.link);
    // A listener may have dropped it in the meantime.
    if (!connection) return;
    connection.attached = attached;
    connection.openedAt = readClock(this._environment);
    connection.deadline = connection.openedAt + SECOND_EVENT_TIMEOUT;
    // The server may not know yet that another attach was confirmed in the meantime.
    if (attached.link.attach < this._session.confirmed) this._handleFailure(connection, "superseded");
    // With another connection active, a stream takes over once it delivers more than its first event.
    else if (!this.active || connection.transport !== "sse") this._takeOver(connection);
  }

  onLinkDropped({ link, reason, message, retryIn, outputs = [] }: LinkDropped): void {
    const connection = this.live.find((connection) => connection.link === link);
    if (!connection) return;
    this._send(connection, outputs);
    connection.refusal = message;
    // An attach below the confirmed one is superseded, which is not a failure.
    const isOlder = !this.active && link.attach < this._session.confirmed;
    this._handleFailure(connection, isOlder ? "superseded" : reason, retryIn);
  }

  /** Checks that the active connection is still alive. Without one, retries immediately. */
  probe(): void {
    const { active } = this;
    const now = readClock(this._environment);
    if (active) {
      // The answer to a POST proves nothing about the downlink, so that is replaced instead. It stays for as long as
      // the new connection may take to open.
      const isSocket = active.transport === "websocket";
      if (!isSocket) active.rotateAt = now;
      this._session.probe(active.link!, now + (isSocket ? PROBE_TIMEOUT : this._options.openTimeout));
    } else if (this.retryAt < Infinity) {
      this._outage.restart(now);
      this.retryAt = this._askedToWaitUntil;
    }
  }

  /** Drops all connections and starts over after `wait` seconds. */
  reconnect(reason: string, wait: number): void {
    for (const connection of this.live) this._disconnect(connection, reason);
    this._trials = [];
    this.dialer.slot.release();
    // The application or the page asked for it: that is no outage.
    this._outage = new Outage(readClock(this._environment));
    this._scheduleRetry(reason, wait);
  }

  /** Closes all connections of a channel that has ended, after writing what is still pending. */
  close({ reason, by }: Closing): void {
    const now = readClock(this._environment);
    for (const connection of this.live) {
      if (connection.link?.state === "open") this._write(connection, now);
      recordOutcome(connection.attempt, by === "app" ? "left" : "failed", reason, now - connection.startedAt);
      connection.attached = undefined;
      connection.adapter?.close(true);
    }
    this.active = undefined;
    this._trials = [];
    this.dialer.slot.release();
  }

  private async _connect(transport: TransportName, now: number): Promise<void> {
    const connection = this.dialer.create(transport, now);
    this._trials.push(connection);
    this.dialer.log.attempt(connection);
    try {
      await this.dialer.open(connection, this);
      this._listener.schedule();
    } catch (error) {
      if (this.isLive(connection)) this._handleFailure(connection, `${error}`);
    }
  }

  private _write(connection: Connection, now: number): void {
    if (connection.link) this._send(connection, this._session.transmit(connection.link, now));
  }

  private _send({ link, adapter }: Connection, outputs: readonly Output[]): void {
    for (const output of outputs) {
      this.dialer.log.wrote(link!, output.frames);
      adapter!.send(output);
    }
  }

  onInput(connection: Connection, input: Input): void {
    const answer = input.type === "answer" ? input : undefined;
    const request = answer?.request;
    const failed = answer && answer.status !== 200;
    // A POST can outlive its connection, and still counts as an attempt if it fails.
    if (!this.isLive(connection) && request !== "post") return;
    if (input.type === "frame") connection.frames++;
    if (failed && answer.status && request === "open") connection.isRefused = true;
    const forward = (input: Input): void => this._listener.onInput(connection.link!, input);
    // A failed request is retried, or leads to a new connection: that is an attempt. A POST waits a little: if the
    // whole path is down, the downlink reports it first and the retry is unnecessary.
    if (failed && request !== "open") {
      const stamped = { ...answer, arrivedAt: readClock(this._environment) };
      this.dialer.budget.run(() => forward(stamped), request === "post" ? POST_RETRY_DELAY : 0);
    } else forward(input);
    if (connection.attached && connection.frames > 1) this._takeOver(connection);
    // Intermediaries answer too: only valid input on an attached connection proves that the server is there.
    if (connection !== this.active || failed) return;
    if (request) connection.hasAnswers = true;
    this._listener.onContact();
    this._confirmWorks(connection);
  }

  /** Records, after input on the active connection, whether it is now known to work. */
  private _confirmWorks(connection: Connection): void {
    const { transport, openedAt, frames, hasAnswers } = connection;
    // A stream works once it has delivered more than its first event, and a POST was answered.
    const isStream = transport === "sse";
    if (isStream && frames < 2) return;
    connection.deadline = isStream && !hasAnswers ? openedAt + this._options.postTimeout : Infinity;
    const isSteady = readClock(this._environment) >= openedAt + STEADY_AFTER;
    if (isSteady && this.penalties.current[transport]) this.penalties.remove(transport);
  }

  /** Makes `connection` the active one. Drops the others, except better ones that may still open. */
  private _takeOver(connection: Connection): void {
    const previous = this.active;
    const { transport, openedAt } = connection;
    const attached = connection.attached!;
    const others = this._trials.filter((trial) => trial !== connection);
    connection.attached = undefined;
    this._trials = others.filter(({ failed }) => !failed);
    this.active = connection;
    this.lastActive = connection;
    const { attempt } = connection;
    recordOutcome(attempt, "open", attempt.reason, readClock(this._environment) - connection.startedAt);
    // Polls are replaced too, so that a page without a slot tries again to get one.
    const streamLimit = transport === "websocket" ? undefined : this._session.terms.stream;
    const lifetime = Math.min(this._lifetimes.cutAt(transport), streamLimit || Infinity);
    connection.rotateAt = openedAt + ROTATION_SHARE * lifetime;
    this.dialer.log.attempt(connection);
    if (transport === "websocket") this.dialer.slot.release();
    if (previous) this._disconnect(previous, "replaced");
    else {
      this._outage.connected(readClock(this._environment));
      // The server took this one, whatever it has told another.
      this._askedToWaitUntil = 0;
    }
    for (const trial of others) {
      const isBetter = this._usable.indexOf(trial.transport) < this._usable.indexOf(transport);
      if (trial.failed) {
        if (trial.transport !== transport) this._penalize(trial);
      } else if (!isBetter || trial.attached) {
        this._disconnect(trial, "not needed");
      }
    }
    if (transport !== "longpoll") this._usable = this.transports;
    this._listener.onActive(transport, attached);
  }

  /** Handles a failed or lost connection: decides whether its transport is to blame, and when to retry. */
  private _handleFailure(connection: Connection, reason: string, retryIn = 0): void {
    const now = readClock(this._environment);
    const { transport, startedAt, openedAt } = connection;
    const wasActive = connection === this.active;
    // Those without an attach would open one too soon.
    if (retryIn) for (const trial of this._trials) if (!trial.failed && !trial.link) this._disconnect(trial, reason);
    const round = wasActive ? [...this._trials, connection] : this._trials;
    if (reason === "timeout" && !connection.hasCredentials)
      reason = "credentials: the function did not resolve within postTimeout";
    if (reason === "timeout" && openedAt) reason = connection.frames < 2 ? "mute" : "silent";
    connection.isMute = reason === "mute";
    const worked = wasActive && connection.deadline === Infinity && !connection.isMute;
    const drained = reason === "drain";
    const isForgiven = /^(superseded|reset|unauthorized|not_attached)$/.test(reason);
    connection.isBlameless = drained || reason === TOO_MANY_TABS;
    if (reason === TOO_MANY_TABS) this._usable = checkTransports([...this._usable, "longpoll"]);
    const description = describeFailure(transport, reason, connection.reachedAfter, now - startedAt);
    this._disconnect(connection, description, isForgiven || connection.isBlameless ? "left" : "failed");
    if (worked) this._lifetimes.record(transport, now - openedAt);
    // A connection that is always cut at the same age counts as stable.
    const steady = worked && (now >= openedAt + STEADY_AFTER || this._lifetimes.cutAt(transport) < Infinity);
    if (steady) this._outage.restart(now);
    // What the server asked for is no failure (DRN-1), nor the end of another session, nor a move to another process.
    const failed = !steady && !drained && !retryIn && !isForgiven;
    // Refused credentials do not end the connection that works (ATT-8), but there is no point in asking again soon.
    const isRefused = failed || reason === "unauthorized";
    if (!wasActive && this.active) return this._handleTrialFailure(connection, isRefused, retryIn);
    // One that was asked to wait has failed in this round, though its transport is not why.
    const waits = retryIn > 0 && !wasActive && !drained && !isForgiven;
    connection.isBlameless ||= waits;
    connection.failed = failed || waits;
    if (connection.failed) this._trials = round;
    // A wait ends the round, once none is left that may still open.
    const hasWait = this.retryAt > now && round.some(({ isBlameless }) => isBlameless);
    const isIdle = !this.live.length && (retryIn > 0 || hasWait);
    const outage = connection.failed && (isIdle || isOutage(this._trials, this._usable));
    if (outage) void this._reportOutage(this._trials);
    if (outage || isIdle) {
      this._trials = [];
      this.dialer.slot.release();
    }
    // Within a round the next transport is tried immediately. Otherwise a random delay spreads out the pages.
    const random = this._environment.Math.random();
    let wait = drained ? random * retryIn : retryIn;
    if (drained ? !steady : worked || outage || retryIn) {
      const { retryBase, retryMax } = this._options;
      wait += backoff(this._outage.seconds(now), random, retryBase, retryMax);
    }
    if (retryIn) this._askedToWaitUntil = now + wait;
    this._scheduleRetry(reason, Math.max(wait, (wasActive ? this._askedToWaitUntil : this.retryAt) - now));
  }

  /** Explains a round in which everything failed. Reports it if it is the first in this outage. */
  private async _reportOutage(round: readonly Connection[]): Promise<void> {
    const { _outage: outage, lastActive } = this;
    const isFirst = outage.report();
    const diagnosis = await this.dialer.explainOutage(round, !isFirst || !!lastActive);
    // Unless something has connected, or the page has started over.
    if (isFirst && outage === this._outage && lastActive === this.lastActive) this._listener.onUnreachable(diagnosis);
  }

  /** Handles the end of an attempt made while another connection is active. */
  private _handleTrialFailure(trial: Connection, failed: boolean, retryIn: number): void {
    const now = readClock(this._environment);
    const active = this.active!;
    if (trial.transport === active.transport) {
      active.rotateAt = now + this._options.retryMax;
      // The path is not dead: the old connection has its usual time for a sign of life.
      if (trial.isRefused) this._session.probe(active.link!, now + silenceTimeout(this._session.terms));
    } else if (failed || retryIn || trial.isBlameless) this._penalize(trial);
    // It answered, though another was first.
    else this.penalties.remove(trial.transport);
    if (retryIn) this._askedToWaitUntil = this.retryAt = now + retryIn;
  }

  /** Penalizes the transport of `trial`, which failed while another worked; or only probes it later. */
  private _penalize(trial: Connection): void {
    if (trial.isBlameless) {
      this.active!.probeAfter[trial.transport] = readClock(this._environment) + FIRST_WAIT;
      return;
    }
    this.penalties.penalize(trial.transport, trial.isMute);
    // Browsers hide why an upgrade failed, if they have tried it.
    if (trial.transport === "websocket" && trial.adapter && !trial.openedAt) this.dialer.diagnose(trial.attempt);
  }

  /** Drops a connection and records its `outcome`. */
  private _disconnect(connection: Connection, reason: string, outcome: Attempt["outcome"] = "left"): void {
    const now = readClock(this._environment);
    recordOutcome(connection.attempt, outcome, reason, now - connection.startedAt);
    this.dialer.log.attempt(connection);
    connection.attached = undefined;
    connection.adapter?.close();
    if (connection.link) this._session.remove(connection.link);
    this._trials = this._trials.filter((trial) => trial !== connection);
    if (this.active !== connection) return;
    this.active = undefined;
    this._outage.disconnected(now);
  }

  /** Schedules the next attempts `wait` seconds from now, unless a connection has just opened. None is active. */
  private _scheduleRetry(reason: string, wait: number): void {
    this.retryAt = readClock(this._environment) + wait;
    this._listener.schedule();
    const next = this._trials.find(({ attached }) => attached);
    if (next) this._takeOver(next);
    else this._listener.onInactive(reason);
  }
}
