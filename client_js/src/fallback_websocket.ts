// `FallbackWebSocket`: the interface of the platform's WebSocket on a channel to a wrapped WebSocket application.
//
// One socket is one session, which is never replaced by another: what would lead to a new one, a reset or an outage
// that the session cannot have survived, ends the socket. Invariants:
// - Each event is fired in a task of its own, in the order in which the channel told of it (tasks.ts).
// - `readyState` changes in these tasks only, apart from `close()`.
// - After `_end` the channel's messages are ignored, and one event `close` follows.
import { utf8Length } from "./codec.ts";
import { baseOf } from "./environment.ts";
import type { Environment } from "./environment.ts";
import { Channel } from "./index.ts";
import type { ChannelError, ChannelOptions } from "./index.ts";
import { queueTask } from "./tasks.ts";
import { readClose, readMessage, readProtocols, readUrl, refuse, sizeOf } from "./websocket_arguments.ts";
import type { Sent } from "./websocket_arguments.ts";
import { closeEvent, messageEvent } from "./websocket_events.ts";

const STATES = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 } as const;

/** A close code of the application's side: it has sent something that cannot be carried. */
const POLICY_VIOLATION = 1008;
const GOING_AWAY = 1001;
/** The code of a close event without a close frame. */
const ABNORMAL = 1006;
/** The code of a close event whose close frame had no code. */
const NO_CODE = 1005;

type SocketHandler<Type extends keyof WebSocketEventMap> =
  | ((this: WebSocket, event: WebSocketEventMap[Type]) => unknown)
  | null;

/** An event target whose listeners get the events of a WebSocket, for the compiler. */
const SocketTarget = EventTarget as new () => Pick<WebSocket, "addEventListener" | "removeEventListener" | "dispatchEvent">;

/** What the server's application answers first (TGT-1). */
interface Answer {
  readonly accept?: string | null;
  readonly deny?: number;
}

/**
 * A WebSocket that stays open while its connection is cut, over whichever transport works.
 *
 * `url` is that of a WebSocket endpoint which the server has wrapped by `as_websocket`. All else is as the platform's
 * WebSocket has it; docs/existing-websocket.md lists the differences.
 */
export class FallbackWebSocket extends SocketTarget implements WebSocket {
  declare static readonly CONNECTING: 0;
  declare static readonly OPEN: 1;
  declare static readonly CLOSING: 2;
  declare static readonly CLOSED: 3;
  declare readonly CONNECTING: 0;
  declare readonly OPEN: 1;
  declare readonly CLOSING: 2;
  declare readonly CLOSED: 3;
  declare onopen: SocketHandler<"open">;
  declare onmessage: SocketHandler<"message">;
  declare onerror: SocketHandler<"error">;
  declare onclose: SocketHandler<"close">;

  /**
   * The channel that carries this socket: `explain()` tells how each attempt to connect ended, `transports` can be set,
   * `reconnect()` cuts the connection. Send and close with the socket.
   */
  readonly channel: Channel;
  /** @internal The options of each channel. */
  static readonly _options: ChannelOptions = {};
  /** @internal Tests replace parts of it. */
  static readonly _environment: Environment = globalThis;
  /** @internal */
  private readonly _url: URL;
  /** @internal */
  private readonly _console: Environment["console"];
  /** @internal The subprotocols that are offered. */
  private readonly _offered: readonly string[];
  /** @internal The chosen one, from the accept on. */
  private _accepted: string | undefined;
  /** @internal */
  private _protocol = "";
  /** @internal */
  private _readyState: 0 | 1 | 2 | 3 = STATES.CONNECTING;
  /** @internal */
  private _binaryType: BinaryType = "blob";
  /** @internal Bytes that are not acknowledged. */
  private _buffered = 0;
  /** @internal Messages that the channel does not have yet: a Blob that is being read, and what follows it. */
  private readonly _outgoing: [message: Sent, size: number][] = [];
  /** @internal How the page closes. */
  private _closing: ReturnType<typeof readClose> | undefined;
  /** @internal Aborts when the end is certain. */
  readonly _listening = new AbortController();

  /**
   * Returns a class whose sockets use these options of a channel, such as `credentials` and `transports`, besides those
   * that this class has.
   */
  static with(options: ChannelOptions): typeof FallbackWebSocket {
    const inherited = this._options;
    const Derived = class extends this {
      static override readonly _options = { ...inherited, ...options };
    };
    return named(Derived);
  }

  /** Starts connecting. Throws a `SyntaxError` if an argument is invalid; all other errors are reported as events. */
  constructor(url: string | URL, protocols: string | string[] = []) {
    super();
    if (!arguments.length) throw new TypeError("a WebSocket needs a URL");
    const { _environment: environment, _options: options } = new.target;
    const address = readUrl(url, baseOf(environment));
    if (!address) refuse("SyntaxError", `not a URL of a WebSocket: "${url}"`);
    this._url = address;
    this._console = environment.console;
    this._offered = readProtocols(protocols);
    this.channel = new Channel(address, options, environment);
    // It connects in the next microtask.
    this.channel._driver.session.target = { subprotocols: this._offered };
    this._listen();
  }

  get url(): string {
    return this._url.href;
  }

  get readyState(): 0 | 1 | 2 | 3 {
    return this._readyState;
  }

  get bufferedAmount(): number {
    return this._buffered;
  }

  get extensions(): string {
    return "";
  }

  get protocol(): string {
    return this._protocol;
  }

  get binaryType(): BinaryType {
    return this._binaryType;
  }

  set binaryType(value: BinaryType) {
    if (/^(blob|arraybuffer)$/.test(value)) this._binaryType = value;
  }

  send(data: string | BufferSource | Blob): void {
    if (!arguments.length) throw new TypeError("send() needs a message");
    const message = readMessage(data);
    if (this._readyState === STATES.CONNECTING) refuse("InvalidStateError", "cannot send: still connecting");
    const size = sizeOf(message);
    this._buffered += size;
    if (this._readyState !== STATES.OPEN) return;
    this._outgoing.push([message, size]);
    if (this._outgoing.length === 1) void this._transmit();
  }

  close(code?: number, reason?: string): void {
    const closing = readClose(code, reason);
    if (this._readyState >= STATES.CLOSING) return;
    const isOpen = this._readyState === STATES.OPEN;
    this._readyState = STATES.CLOSING;
    if (!isOpen) return this._fail("closed before it was open", GOING_AWAY);
    this._closing = closing;
    if (!this._outgoing.length) this._close(closing);
  }

  /** @internal */
  private _close({ code = 1000, reason }: ReturnType<typeof readClose>): void {
    void this.channel.close(code, reason);
  }

  // Sending

  /** @internal Hands the outgoing messages to the channel, at once up to the first Blob; and then the close. */
  private async _transmit(): Promise<void> {
    const outgoing = this._outgoing;
    while (outgoing.length) {
      const [next, size] = outgoing[0]!;
      try {
        const isReady = typeof next === "string" || next instanceof Uint8Array;
        const message = isReady ? next : await next.arrayBuffer();
        outgoing.shift();
        const limit = this.channel._driver.session.terms.message;
        // Told before those that follow are sent. JSON escapes a byte by six at most.
        if (size * 6 + 2 > limit && (typeof message === "string" ? utf8Length(JSON.stringify(message)) : size) > limit)
          throw `a message is above the server's limit of ${limit} bytes: split it`;
        this.channel.send(message).then(
          () => (this._buffered -= size),
          (error: unknown) => this._onUnsent(error as ChannelError),
        );
      } catch (error) {
        // Or the file of a Blob has changed.
        outgoing.length = 0;
        return this._fail(`${error}`, POLICY_VIOLATION);
      }
    }
    if (this._closing) this._close(this._closing);
  }

  /** @internal */
  private _onUnsent({ code, message }: ChannelError): void {
    // Events tell of an end.
    if (!/^(closed|reset)$/.test(code)) this._fail(message, POLICY_VIOLATION);
  }

  // Events of the channel

  /** @internal */
  private _listen(): void {
    const { channel } = this;
    const { signal } = this._listening;
    const { _driver: driver } = channel;
    dialed.set(this, this._url.href.replace(/\/*(\?.*)?$/, "/websocket$1"));
    /** Ends the socket, and the channel without another attempt to connect. */
    const abandon = (reason: string): void => {
      this._fail(reason);
      driver.abandon(GOING_AWAY, reason);
    };
    channel.addEventListener("message", ({ data }) => this._onMessage(data), { signal });
    // These end the channel also if the socket has ended before.
    channel.addEventListener("reset", ({ reason }) => {
      if (driver.session.token) this._fail("the session was reset: " + reason, GOING_AWAY);
      else abandon("the session was reset: " + reason);
    });
    channel.addEventListener("suspended", () => {
      if (driver.connector.retryAt < Infinity) abandon("the session must have expired: nothing was received for so long");
    });
    channel.addEventListener("unreachable", ({ reason }) => {
      if (channel.state === "connecting") abandon(reason);
    });
    channel.addEventListener("close", ({ code, reason, wasClean }) => {
      dialed.delete(this);
      if (signal.aborted) return;
      if (!wasClean) return this._fail(`${code} ${reason}`.trim());
      // Without a code of ours the server's close would have none either.
      const hasNoCode = this._closing && this._closing.code === undefined && code === 1000 && !reason;
      this._end(hasNoCode ? NO_CODE : code, reason, true);
    });
  }

  /** @internal */
  private _onMessage(data: unknown): void {
    if (this._accepted !== undefined) return queueTask(() => this._receive(data));
    const { accept, deny } = Object(data) as Answer;
    // A browser takes no other answer to an offer.
    const isChosen = accept === null ? !this._offered.length : this._offered.includes(accept!);
    if (isChosen) {
      this._accepted = accept ?? "";
      queueTask(() => this._open());
    } else if (deny) this._fail(`denied with HTTP status ${deny}`, GOING_AWAY);
    else this._fail("the server has chosen none of the subprotocols", GOING_AWAY);
  }

  /** @internal */
  private _open(): void {
    if (this._readyState !== STATES.CONNECTING) return;
    this._readyState = STATES.OPEN;
    this._protocol = this._accepted!;
    this.dispatchEvent(new Event("open"));
  }

  /** @internal */
  private _receive(data: unknown): void {
    if (this._readyState !== STATES.OPEN) return;
    let message = data;
    if (data instanceof Uint8Array) {
      const { buffer } = data.slice();
      message = this._binaryType === "blob" ? new Blob([buffer]) : buffer;
    } else if (typeof data !== "string") message = JSON.stringify(data);
    this.dispatchEvent(messageEvent(message, this._url.origin));
  }

  /**
   * Ends the socket after an error, which the console explains, as for the platform's WebSocket.
   *
   * `channelCode`: closes the channel with this code, after what was sent before.
   *
   * @internal
   */
  private _fail(reason: string, channelCode?: number): void {
    if (!this._listening.signal.aborted) {
      const { origin, pathname } = this._url;
      this._console?.error(`WebSocket connection to ${origin}${pathname} failed: ${reason}`);
      this._end(ABNORMAL, "", false);
    }
    // Last, as it may end at once.
    if (channelCode) void this.channel.close(channelCode);
  }

  /** @internal */
  private _end(code: number, reason: string, wasClean: boolean): void {
    this._listening.abort();
    queueTask(() => {
      this._readyState = STATES.CLOSED;
      if (!wasClean) this.dispatchEvent(new Event("error"));
      this.dispatchEvent(closeEvent(code, reason, wasClean));
    });
  }
}

/** The URLs at which the channels of sockets make a WebSocket of the platform. */
const dialed = new Map<FallbackWebSocket, string>();

/** Returns whether `url` is one of these. */
export const isDialed = ({ href }: URL): boolean => [...dialed.values()].includes(href);

/** Returns a class under its public name, whatever it was shortened to. */
function named(Class: typeof FallbackWebSocket): typeof FallbackWebSocket {
  return Object.defineProperty(Class, "name", { value: "FallbackWebSocket" });
}

named(FallbackWebSocket);
for (const target of [FallbackWebSocket, FallbackWebSocket.prototype])
  for (const [name, value] of Object.entries(STATES)) Object.defineProperty(target, name, { value, enumerable: true });
// What code asks for that wants to know the kind of an object.
Object.defineProperty(FallbackWebSocket.prototype, Symbol.toStringTag, { value: "WebSocket", configurable: true });
Channel._defineHandlers(FallbackWebSocket.prototype, ["open", "message", "error", "close"]);
