// The driver of a channel: owns the session, the clock and the application's sends.
//
// The pure core (session.ts) and the connector decide what to do; the driver runs them in turns. Each input schedules
// a turn as a microtask, so that everything sent in one task of the page is written together (DAT-1). A single timer
// starts a turn at the next deadline. Session events are handled immediately and in order: they settle sends, put
// messages into the inbox, and change the channel's state.
import { Connector } from "./connector.ts";
import type { ConnectorListener } from "./connector_listener.ts";
import type { Diagnosis } from "./diagnosis.ts";
import { randomId, readClock } from "./environment.ts";
import type { Environment } from "./environment.ts";
import { ChannelError } from "./errors.ts";
import type { Attached, Closing, Input, SendFate, SessionEvent } from "./events.ts";
import type { TransportName } from "./frames.ts";
import type { Inbox } from "./inbox.ts";
import type { Link } from "./link.ts";
import type { ChannelEventMap, Options, Statistics } from "./options.ts";
import { observePage } from "./page_lifecycle.ts";
import type { PageListener } from "./page_lifecycle.ts";
import { ClientSession } from "./session.ts";
import { CHANNEL_TRANSITIONS, transition } from "./states.ts";
import type { ChannelState } from "./states.ts";
import { keepaliveRoom, postOnUnload } from "./transports/http.ts";
import { finalPost } from "./uplink.ts";

/** Seconds that a timer may be late. If it is later, the page has slept. */
const TIMER_SLIP_THRESHOLD = 2;
/** Timers are cut to 32 bits of milliseconds. */
const MAX_TIMER = 2 ** 31 - 1;

/** What the codes mean by which the server refuses a single message (DAT-5). */
const REFUSALS: { readonly [code: string]: string } = {
  too_large: "the message is above the server's limit: split it",
  not_read: "the server's handler does not receive messages",
};

/** A send that has not been settled. */
interface PendingSend {
  readonly message: unknown;
  readonly resolve: () => void;
  readonly reject: (error: ChannelError) => void;
}

/** Dispatches an event of the channel. */
type Dispatch = (type: keyof ChannelEventMap, fields?: object) => void;

export class Driver implements ConnectorListener, PageListener {
  state: ChannelState = "connecting";
  id: string | null = null;
  transport: TransportName | null = null;
  /** The next page of this tab may continue the session. */
  handsOver = false;
  readonly session: ClientSession<PendingSend>;
  readonly connector: Connector;
  private readonly _options: Options;
  private readonly _environment: Environment;
  private readonly _inbox: Inbox;
  private readonly _dispatch: Dispatch;
  private readonly _counts = { attaches: 0, reconnects: 0, sent: 0, received: 0, acknowledged: 0, replayed: 0 };
  /** When the server was last heard from, or the application closed. */
  private _contactAt: number;
  private _timer: ReturnType<Environment["setTimeout"]> | undefined;
  private _isScheduled = false;
  /** Whether the page is being unloaded; `cached`: or is in the back/forward cache, and has no connection. */
  private _page: "shown" | "leaving" | "cached" = "shown";
  /** The application has sent or closed since the final POST. */
  private _hasNews = false;
  /** Aborts when the channel is closed. */
  private readonly _lifetime = new AbortController();

  /** Starts connecting immediately. */
  constructor(url: string, options: Options, environment: Environment, inbox: Inbox, dispatch: Dispatch) {
    this._options = options;
    this._environment = environment;
    this._inbox = inbox;
    this._dispatch = dispatch;
    const newId = (): string => randomId(environment);
    this.session = new ClientSession(newId(), newId, typeof options.credentials === "function");
    this.connector = new Connector(this.session, url, options, environment, this);
    this._contactAt = readClock(environment);
    observePage(environment, this, this._lifetime.signal);
    this.schedule();
  }

  // The application's side

  /** Sends a message. The promise settles once its fate is known. */
  send(message: unknown): Promise<void> {
    let settle!: Pick<PendingSend, "resolve" | "reject">;
    const promise = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
    const reject = (error: unknown): void => {
      // Events tell of these too. Any other rejection that nobody handles is reported by the browser.
      if (error instanceof ChannelError && /^(closed|reset)$/.test(error.code)) promise.catch(() => {});
      settle.reject(error as ChannelError);
    };
    try {
      const { entries, total } = this.session.outbox.buffer;
      if (entries.length >= this._options.queueMessages || total >= this._options.queueBytes)
        throw new ChannelError(
          "buffer_full",
          `cannot send: ${entries.length} messages (${total} bytes) wait for the server. Await earlier sends.`,
        );
      this.session.send(message, { message, resolve: settle.resolve, reject });
      this._counts.sent++;
      this._hasNews = true;
    } catch (error) {
      reject(error);
    }
    this.schedule();
    return promise;
  }

  close(code: number, reason: string): void {
    const { connector, session } = this;
    if (session.closing) return;
    this._contactAt = readClock(this._environment);
    session.close(code, reason);
    this._hasNews = true;
    this.resume();
    // A pending backoff may outlast the time left to close.
    if (!connector.live.length) this.reconnect();
    // If nothing was ever started, no server needs to know.
    if (!session.attaches && !session.outbox.buffer.entries.length) this._finish({ code, reason, by: "app" }, true, []);
    this.schedule();
  }

  /** Ends the channel without telling the server. */
  abandon(code: number, reason: string): void {
    this._act(this.session.abandon(code, reason));
    // Clears the timer, which would keep Node.js running.
    this.schedule();
  }

  reconnect(): void {
    if (this.connector.retryAt < Infinity) this.connector.reconnect("reconnect", 0);
  }

  suspend(): void {
    const { state } = this;
    if (state === "closed") return;
    this._page = "shown";
    this._enter("suspend", () => this.connector.reconnect("suspend", Infinity));
    if (state !== "suspended") this._dispatch("suspended");
  }

  resume(): void {
    if (this.state !== "suspended") return;
    this._enter("resume", () => {
      this._contactAt = readClock(this._environment);
      this.connector.reconnect("resume", 0);
    });
  }

  statistics(): Statistics {
    return { ...this._counts, attempts: { ...this.connector.dialer.attempts.counts } };
  }

  // Turns

  /** Schedules a turn in the next microtask. */
  schedule(): void {
    if (this._isScheduled) return;
    this._isScheduled = true;
    queueMicrotask(() => {
      this._isScheduled = false;
      this._turn();
    });
  }

  /** Does what is due, and sets the timer for the next deadline. */
  private _turn(): void {
    const { connector, session, _environment: environment } = this;
    environment.clearTimeout(this._timer);
    if (this.state === "closed") return;
    const now = readClock(environment);
    const giveUpAt = session.closing ? this._contactAt + session.terms.closing : Infinity;
    if (now >= giveUpAt) return this.abandon(1001, "unreachable");
    const expiresAt = this.state === "recovering" ? this._contactAt + session.terms.ttl : Infinity;
    if (now >= expiresAt) {
      this._enter("expire");
      this._dispatch("suspended");
      // Anew: a listener may have abandoned the channel.
      return this.schedule();
    }
    connector.dropOverdue(now);
    this._act(session.tick(now));
    // In a listener of the page, for the same event or a later one.
    if (this._page !== "shown" && this._hasNews) this._postFinal(true);
    const nextAttemptAt = connector.startDue(now);
    connector.transmit(now);
    const due = Math.min(giveUpAt, expiresAt, session.deadline, nextAttemptAt, connector.deadline);
    if (due === Infinity) return;
    const onTimer = (): void => {
      // Yields once more before the turn, so that input that arrived in the meantime is handled first.
      if (readClock(environment) > due + TIMER_SLIP_THRESHOLD) this.onWake();
      else this._timer = environment.setTimeout(() => this._turn(), 0);
    };
    this._timer = environment.setTimeout(onTimer, Math.min(MAX_TIMER, (due - now) * 1000 + 1));
  }

  // Events of the session

  private _act(events: readonly SessionEvent<PendingSend>[]): void {
    for (const event of events) this._handle(event);
    // Only after the whole batch: later events may settle sends.
    const { size, bytes } = this._inbox;
    if (this.state !== "closed" && (size > this._options.queueMessages || bytes > this._options.queueBytes))
      this.abandon(1011, "too many messages wait for a listener: see queueMessages, queueBytes");
  }

  private _handle(event: SessionEvent<PendingSend>): void {
    switch (event.type) {
      case "opened":
        return this.connector.onAttached(event);
      case "message":
        this._counts.received++;
        return this._inbox.put(event.message, event.size);
      case "settled":
        this._counts.acknowledged++;
        return event.tag.resolve();
      case "rejected":
        return settleSend({ tag: event.tag, fate: "not_handled" }, event.code, REFUSALS[event.code]!);
      case "reset": {
        const { reason, lost, dropped = 0 } = event.loss;
        if (reason === "failed") this._reportFailure();
        for (const send of event.sends) settleSend(send, "reset", "reset: " + reason);
        const sends = event.sends.map(({ tag, fate }) => ({ message: tag.message, fate }));
        return this._dispatch("reset", { reason, lost, dropped, sends });
      }
      case "renewal":
        void this._renew();
        return;
      case "closed":
        return this._finish(event.closing, event.clean, event.sends);
      case "dropped":
        return this.connector.onLinkDropped(event);
    }
  }

  private async _renew(): Promise<void> {
    try {
      this.session.renew(await this.connector.dialer.askCredentials());
      this.schedule();
    } catch {
      // The credentials failed to load: the server's `unauthorized` will follow.
      this.connector.dialer.log.event("renewal failed", {});
    }
  }

  private _finish(closing: Closing, wasClean: boolean, sends: readonly SendFate<PendingSend>[]): void {
    const { code, reason, by } = closing;
    this.connector.close(closing);
    this._lifetime.abort();
    // An application may close with 1011 too.
    if (code === 1011 && by === "protocol" && this.session.serverClose) this._reportFailure();
    this.transport = null;
    this._enter("close");
    for (const send of sends) settleSend(send, "closed", `closed: ${code} ${reason}`.trimEnd());
    this._inbox.close();
    this._dispatch("close", { code, reason, by, wasClean });
  }

  /** The server's handler has failed: nothing that a page does with the events would show its developer why. */
  private _reportFailure(): void {
    this._environment.console?.error("onechannel: the server's handler failed. Its traceback is in the server's log.");
  }

  /** Changes the state, then does `act`, and then tells of it: a listener may change the state again. */
  private _enter(input: string, act?: () => void): void {
    const previous = this.state;
    const state = (this.state = transition(CHANNEL_TRANSITIONS, previous, input));
    act?.();
    if (state !== previous) this._dispatch("statechange", { state, previous });
  }

  // Reports of the connector

  onInput(link: Link, input: Input): void {
    this._act(this.session.handleInput(link, input, readClock(this._environment)));
    this.schedule();
  }

  onContact(): void {
    this._contactAt = readClock(this._environment);
  }

  onActive(transport: TransportName, { id, resumed, replayed }: Attached): void {
    const isNew = this.id !== id;
    const isOther = this.transport !== transport;
    const wasOpen = this.state === "open";
    this.id = id;
    this.transport = transport;
    this._counts.attaches++;
    if (!wasOpen) this._enter("opened");
    if (isOther) this._dispatch("transport", { transport });
    // Two racing attaches may both report a new session.
    if (isNew) return this._dispatch("open");
    if (wasOpen || !resumed) return;
    this._counts.reconnects++;
    this._counts.replayed += replayed;
    this._dispatch("resumed", { replayed });
  }

  onInactive(reason: string): void {
    if (this.state !== "open") return;
    this._enter("lost");
    this._dispatch("recovering", { reason });
  }

  onUnreachable(diagnosis: Diagnosis): void {
    if (this.state !== "closed") this._dispatch("unreachable", diagnosis);
  }

  // Reports of the page

  onWake(): void {
    // Input that arrived in the meantime is handled first.
    this._environment.setTimeout(() => {
      this.connector.probe();
      this.schedule();
    }, 0);
  }

  onNetworkChange(): void {
    this.connector.penalties.clear();
    this.onWake();
  }

  onHide(persisted: boolean): void {
    if (persisted && this.connector.retryAt === Infinity) return;
    this._page = persisted ? "cached" : "leaving";
    if (!persisted && !this.handsOver) {
      this.session.isLeaving = true;
      // Over HTTP it is in the final POST. A WebSocket may get it sooner.
      if (this.transport === "websocket") this.connector.transmit(readClock(this._environment));
    }
    this._postFinal(false);
    // Open connections prevent caching in some browsers, and are dead on return in the others.
    if (persisted) this.connector.reconnect("pagehide", Infinity);
  }

  onShow(): void {
    this.session.isLeaving = false;
    if (this._page === "cached") this.connector.reconnect("pageshow", 0);
    this._page = "shown";
  }

  /** POSTs what the server may lack, for a page that is being unloaded. `follows`: it has done so before. */
  private _postFinal(follows: boolean): void {
    const { lastActive } = this.connector;
    this._hasNews = false;
    // After a reset there is no session to post to.
    if (!lastActive || !this.session.token) return;
    const frames = finalPost(this.session, lastActive.link!, keepaliveRoom(this._environment), follows);
    this.connector.dialer.log.wrote(lastActive.link!, frames);
    postOnUnload(lastActive.context!, frames);
  }
}

/** Settles a send according to its fate; `code` and `message` describe the error if it was not handled. */
function settleSend({ tag, fate }: SendFate<PendingSend>, code: string, message: string): void {
  if (fate === "handled") tag.resolve();
  else tag.reject(new ChannelError(code, message, fate));
}
