// Opens connections, within the retry budget, with credentials, and with a slot for those that are held.
import { RetryBudget } from "./budget.ts";
import type { Connection } from "./connection.ts";
import { ConnectionSlot, TOO_MANY_TABS, isMultiplexed } from "./connection_slots.ts";
import { DebugLog } from "./debug.ts";
import { NO_ANSWER, OFFLINE, diagnose, readRefusal, readStatus } from "./diagnosis.ts";
import type { Diagnosis } from "./diagnosis.ts";
import { readClock } from "./environment.ts";
import type { Environment } from "./environment.ts";
import type { Input } from "./events.ts";
import { AttemptLog } from "./explain.ts";
import type { MutableAttempt } from "./explain.ts";
import type { TransportName } from "./frames.ts";
import { encodeJson } from "./json.ts";
import type { Options } from "./options.ts";
import type { ClientSession } from "./session.ts";
import { longpoll, sse } from "./transports/http.ts";
import type { Transport, TransportContext } from "./transports/interface.ts";
import { websocket } from "./transports/websocket.ts";

const TRANSPORT_FACTORIES: { readonly [Name in TransportName]: (context: TransportContext) => Transport } = {
  websocket,
  sse,
  longpoll,
};

/** What a dialer needs of the owner of its connections, the connector. */
export interface DialerHost {
  /** Returns whether the connection is still wanted. */
  isLive(connection: Connection): boolean;
  onInput(connection: Connection, input: Input): void;
}

export class Dialer {
  readonly attempts = new AttemptLog();
  readonly budget: RetryBudget;
  readonly slot: ConnectionSlot;
  readonly log: DebugLog;
  private readonly _session: ClientSession<unknown>;
  private readonly _url: string;
  private readonly _options: Options;
  private readonly _environment: Environment;
  private _hasDiagnosed = false;

  constructor(session: ClientSession<unknown>, url: string, options: Options, environment: Environment) {
    // Two per second at the server, with a margin for network delay.
    this.budget = new RetryBudget(environment, 2.5 * Math.min(0.5, options.retryBase));
    this.slot = new ConnectionSlot(environment, url);
    this.log = new DebugLog(environment);
    this._session = session;
    this._url = url;
    this._options = options;
    this._environment = environment;
  }

  /** Returns a connection that `open` can open. */
  create(transport: TransportName, now: number): Connection {
    return {
      transport,
      attempt: this.attempts.start(transport),
      startedAt: now,
      racingSince: Infinity,
      // Deadline for the credentials; after that, `openTimeout` applies.
      deadline: now + this._options.postTimeout,
      openedAt: 0,
      frames: 0,
      rotateAt: Infinity,
      probeAfter: {},
    };
  }

  /**
   * Attaches the session over `connection`, unless it was dropped in the meantime.
   *
   * Rejects if there are no credentials, or with `TOO_MANY_TABS` if a stream gets no slot.
   */
  async open(connection: Connection, host: DialerHost): Promise<void> {
    const { transport, startedAt } = connection;
    const { openTimeout, postTimeout, withCredentials } = this._options;
    const credentials = await this.askCredentials().catch(async (error: unknown) => {
      await this.budget.wait();
      throw "credentials: " + error;
    });
    connection.hasCredentials = true;
    const needsSlot = transport !== "websocket" && !isMultiplexed(this._environment, this._url);
    const hasSlot = !needsSlot || !host.isLive(connection) || (await this.slot.acquire());
    if (!host.isLive(connection)) return;
    if (transport === "longpoll") this._session.polls.allowHold(hasSlot);
    // Polls work without a slot. The reason as `explain` shows it.
    if (!hasSlot && transport === "sse") throw TOO_MANY_TABS;
    if (!hasSlot) connection.attempt.reason = TOO_MANY_TABS;
    // An attempt counts from when it leaves: those with slow credentials would bunch.
    await this.budget.wait();
    if (!host.isLive(connection)) return;
    connection.racingSince = readClock(this._environment);
    connection.deadline = connection.racingSince + openTimeout;
    connection.context = {
      environment: this._environment,
      urlOf: this._urlOf,
      credentials: withCredentials ? "include" : "same-origin",
      postTimeout: postTimeout * 1000,
      onReached: () => {
        connection.reachedAfter ??= readClock(this._environment) - startedAt;
      },
      onInput: (input) => {
        this.log.read(transport, connection.link, input);
        host.onInput(connection, input);
      },
    };
    connection.adapter = TRANSPORT_FACTORIES[transport](connection.context);
    connection.link = this._session.attach(transport, credentials);
  }

  /** Returns the application's credentials, for an attach or a renewal. */
  async askCredentials(): Promise<unknown> {
    const { credentials } = this._options;
    const value: unknown = await (typeof credentials === "function" ? (credentials as () => unknown)() : credentials);
    // What JSON would lose is told, not sent without it.
    if (value !== undefined) encodeJson(value, "credentials", this._session.terms.depth);
    return value;
  }

  /** Diagnoses why a WebSocket was refused, and adds that to the reason of `attempt`. Runs only once. */
  diagnose(attempt: MutableAttempt): void {
    if (!this._hasDiagnosed) void this._ask(attempt);
    this._hasDiagnosed = true;
  }

  /**
   * Returns why all attempts of a round have failed, and adds that to the reasons of those that were answered.
   *
   * `isKnown`: the channel has worked before, so nothing but the network or the server has changed.
   */
  async explainOutage(round: readonly Connection[], isKnown: boolean): Promise<Diagnosis> {
    const { navigator } = this._environment;
    let found: Diagnosis | undefined;
    let said: Diagnosis | undefined;
    for (const { attempt, hasCredentials, refusal } of round) {
      const [, status] = /^HTTP (\d+)$/.exec(attempt.reason) ?? [];
      if (refusal !== undefined) attempt.reason = (said = readRefusal(attempt.reason, refusal)).reason;
      else if (status) attempt.reason = (found = readStatus(+status)).reason;
      else if (!hasCredentials) found ??= { cause: "credentials", reason: attempt.reason };
    }
    found = said ?? found;
    if (found) return found;
    if (navigator?.onLine === false) return OFFLINE;
    return isKnown ? NO_ANSWER : this._ask(round.at(-1)!.attempt);
  }

  /** Asks by a plain GET why nothing or no WebSocket connects, and adds that to the reason of `attempt`. */
  private async _ask(attempt: MutableAttempt): Promise<Diagnosis> {
    const controller = new AbortController();
    const timer = this._environment.setTimeout(() => controller.abort(), this._options.openTimeout * 1000);
    const permit = (): Promise<void> => this.budget.wait();
    const diagnosis = await diagnose(this._environment, this._urlOf("websocket"), permit, controller.signal);
    this._environment.clearTimeout(timer);
    attempt.reason += "; " + diagnosis.reason;
    return diagnosis;
  }

  /** Returns the channel's URL with one more segment, the query kept. */
  private readonly _urlOf = (segment: string): string => this._url.replace(/\/*(\?.*)?$/, `/${segment}$1`);
}
