// The public class: what an application calls and listens to. The rest is in driver.ts and below.
import { utf8Length } from "./codec.ts";
import { getDebug, setDebug } from "./debug.ts";
import type { Debug } from "./debug.ts";
import { Driver } from "./driver.ts";
import { checkGlobals, resolveUrl } from "./environment.ts";
import type { Environment } from "./environment.ts";
import { checkArgument, isCloseCode } from "./errors.ts";
import type { Attempt } from "./explain.ts";
import type { TransportName } from "./frames.ts";
import { defineHandlers } from "./handlers.ts";
import type { Handlers } from "./handlers.ts";
import { Inbox } from "./inbox.ts";
import { LONE_SURROGATE } from "./json.ts";
import { withDefaults } from "./options.ts";
import type { ChannelEventMap, ChannelOptions, Statistics } from "./options.ts";
import type { ChannelState } from "./states.ts";

export interface Channel<Received = unknown, Sent = unknown> extends Handlers<Received, Sent> {}

/**
 * One message channel to the server at `url`, over whichever transport works.
 *
 * `Received` and `Sent` are the types of the messages, for the compiler: nothing checks them while the page runs. Bytes
 * are received as `Uint8Array`.
 */
export class Channel<Received = unknown, Sent = unknown> extends EventTarget {
  /** @internal For fallback_websocket.ts, which would contain another copy. */
  static readonly _defineHandlers = defineHandlers;
  /** @internal For fallback_websocket.ts, reload.ts and tests. */
  readonly _driver: Driver;
  /** @internal */
  private readonly _inbox: Inbox;
  /** @internal */
  private readonly _closed: Promise<void>;
  /** @internal The types of events that the page has listened to, or that were written to the console instead. */
  private readonly _seen = new Set<string>();

  /**
   * Whether the channels of this page log what they do, or what to call with each line: frames by type and number,
   * transports and how each attempt ended, events. No line holds a token, credentials or a message. It can be set at
   * any time, also from the console.
   *
   * @default false
   */
  static get debug(): Debug {
    return getDebug();
  }

  static set debug(value: Debug) {
    setDebug(value);
  }

  /** Starts connecting immediately. Throws if an argument is invalid; all other errors are reported as events. */
  constructor(url: string | URL, options?: ChannelOptions);
  /** @internal Tests replace parts of the environment. */
  constructor(url: string | URL, options: ChannelOptions | undefined, environment: Environment);
  constructor(url: string | URL, options: ChannelOptions = {}, environment: Environment = globalThis) {
    super();
    checkGlobals();
    const address = resolveUrl(environment, url);
    const hasLogin = /^\w+:..[^/?]*@/.test(address);
    checkArgument(!hasLogin, "the URL has a user or a password, which fetch refuses. Use the option credentials.");
    const dispatch = (type: keyof ChannelEventMap, fields: object = {}): void => {
      this._driver.connector.dialer.log.event(type, fields);
      this.dispatchEvent(Object.assign(new Event(type), fields));
      const { cause, code, by, reason } = fields as { [name: string]: unknown };
      if ((!cause && by !== "protocol") || this._seen.has(type)) return;
      this._seen.add(type);
      environment.console?.warn(`onechannel: ${type} (${cause ?? code}): ${reason}. Nothing listens to this event.`);
    };
    this._inbox = new Inbox((message) => dispatch("message", message));
    this._closed = new Promise((resolve) => super.addEventListener("close", () => resolve()));
    this._driver = new Driver(address, withDefaults(options), environment, this._inbox, dispatch);
  }

  get state(): ChannelState {
    return this._driver.state;
  }

  /** The session's public id, safe to log; null before the first session. */
  get id(): string | null {
    return this._driver.id;
  }

  /** The current or last used transport; null before the first connection and after close. */
  get transport(): TransportName | null {
    return this._driver.transport;
  }

  /** The transports that may be used, best first. */
  get transports(): readonly TransportName[] {
    return [...this._driver.connector.transports];
  }

  /** Drops connections over transports that are not listed; the session continues over another. */
  set transports(names: readonly TransportName[]) {
    this._driver.connector.setTransports(names);
  }

  /**
   * Sends an ArrayBuffer, a Uint8Array, or a value as `JSON.stringify` writes it (DAT-3).
   *
   * Resolves once the server's application has handled it (MRK-3). Rejects with a `ChannelError` whose `fate` says
   * what is known about the message. A rejection that is not handled is reported by the browser, unless an event tells
   * of it too: `close`, `reset`.
   */
  send(message: Sent): Promise<void> {
    return this._driver.send(message);
  }

  /**
   * Closes once everything sent before is handled. Resolves when the channel is closed.
   *
   * `code`: 1000, 1001, 1008, 1011 to 1014, or 3000 to 4999. `reason`: at most 123 bytes in UTF-8.
   */
  async close(code = 1000, reason = ""): Promise<void> {
    const isReason = typeof reason === "string" && utf8Length(reason) < 124 && !LONE_SURROGATE.test(reason);
    const expected = "code must be 1000, 1001, 1008, 1011-1014 or 3000-4999, reason text of at most 123 bytes";
    checkArgument(isCloseCode(code) && isReason, expected);
    this._driver.close(code, reason);
    return this._closed;
  }

  /**
   * Drops the connection and immediately resumes over a new one. What happens then counts as a new outage, so
   * `unreachable` may fire again. Does nothing after `suspend()`.
   */
  reconnect(): void {
    this._driver.reconnect();
  }

  /** Drops the connection and stays disconnected until `resume()`. Fires `suspended`. */
  suspend(): void {
    this._driver.suspend();
  }

  /** Reconnects after `suspend()`. */
  resume(): void {
    this._driver.resume();
  }

  /** Returns counts since the channel was created. */
  statistics(): Statistics {
    return this._driver.statistics();
  }

  /** Returns the most recent connection attempts, oldest first, and the reason why each one ended. */
  explain(): Attempt[] {
    return this._driver.connector.dialer.attempts.list();
  }

  /**
   * Yields messages as they arrive, until the channel closes. While there are `message` listeners, they get them
   * instead.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Received> {
    return this._inbox.iterate() as AsyncIterableIterator<Received>;
  }

  override dispatchEvent(event: Event): boolean {
    // The application can dispatch one too.
    if (event.type === "message") this._inbox.forgetOnce();
    return super.dispatchEvent(event);
  }

  override addEventListener<Type extends keyof ChannelEventMap>(
    type: Type,
    listener: ((event: ChannelEventMap<Received, Sent>[Type]) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(type: string, listener: unknown, options?: boolean | AddEventListenerOptions): void {
    super.addEventListener(type, listener as EventListener, options);
    if (type === "message") this._inbox.addListener(listener, options);
    this._seen.add(type);
  }

  override removeEventListener<Type extends keyof ChannelEventMap>(
    type: Type,
    listener: ((event: ChannelEventMap<Received, Sent>[Type]) => void) | null,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(type: string, listener: unknown, options?: boolean | EventListenerOptions): void {
    super.removeEventListener(type, listener as EventListener, options);
    if (type === "message") this._inbox.removeListener(listener, options);
  }
}

const EVENTS: readonly (keyof ChannelEventMap)[] = [
  "open",
  "message",
  "transport",
  "statechange",
  "recovering",
  "resumed",
  "reset",
  "unreachable",
  "suspended",
  "close",
];

defineHandlers(Channel.prototype, EVENTS);
