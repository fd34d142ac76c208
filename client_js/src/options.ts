// The options, events and statistics of a channel.
import type { UnreachableCause } from "./diagnosis.ts";
import { checkArgument } from "./errors.ts";
import type { Fate } from "./errors.ts";
import { TRANSPORTS, checkTransports } from "./fallback.ts";
import type { LostRange, TransportName } from "./frames.ts";
import type { ChannelState } from "./states.ts";

/** What an application can choose. An option that is `undefined` has its default. */
export interface ChannelOptions {
  /**
   * Which transports may be used, best first. Leave out one that the network is known to break; a channel can also
   * change its `transports` while it runs.
   *
   * @default ["websocket", "sse", "longpoll"]
   */
  transports?: readonly TransportName[] | undefined;
  /**
   * A JSON value for the server's `authenticate`, or a function that returns one or a promise of one. Use a function
   * for credentials that expire: it is called for each attach and for each renewal. If it throws or rejects, the
   * attempt fails and is retried like any other.
   *
   * @default undefined
   */
  credentials?: unknown;
  /**
   * Whether requests send cookies to another origin too. Set it for a server on another origin that authenticates by
   * cookie. It applies to server-sent events and long polling; with a WebSocket browsers always send them.
   *
   * @default false
   */
  withCredentials?: boolean | undefined;
  /**
   * Seconds to wait for a transport before starting the next one in parallel. Shorter connects sooner where the best
   * transport is blocked; longer spares the server attempts that are not needed.
   *
   * @default 1.2
   */
  headStart?: number | undefined;
  /**
   * Seconds that an attempt may take to open. After that it has failed, and the next transport is tried.
   *
   * @default 8
   */
  openTimeout?: number | undefined;
  /**
   * Seconds that a POST may take, and `credentials` too. A POST that takes longer is repeated; the server drops
   * duplicates. Raise it for slow uplinks that carry large messages.
   *
   * @default 10
   */
  postTimeout?: number | undefined;
  /**
   * Maximum delay of the first retry, in seconds. Later ones may wait that long plus the duration of the outage. The
   * delay is random, so that the pages of a restarted server do not all reconnect at the same moment. At most two
   * attempts are made in 1.25 s, or in 2.5 times `retryBase` if that is less.
   *
   * @default 0.5
   */
  retryBase?: number | undefined;
  /**
   * Maximum delay of any retry, in seconds, unless the server asks for a longer one. Raise it to spare a server during
   * a long outage.
   *
   * @default 30
   */
  retryMax?: number | undefined;
  /**
   * Maximum seconds between probes of a better transport while a fallback is in use; the first probe is after about 15.
   * Lower it to return to WebSocket sooner, at the cost of more failed attempts.
   *
   * @default 300
   */
  fallbackFor?: number | undefined;
  /**
   * Maximum number of messages that wait to be handled by the server, and of received ones that wait for a listener.
   * If that many wait, `send` rejects with `buffer_full`; if more than that were received, the channel closes with
   * code 1011.
   *
   * @default 100000
   */
  queueMessages?: number | undefined;
  /**
   * The same in bytes, approximately. A message that is sent while less than that waits is accepted.
   *
   * @default 67108864
   */
  queueBytes?: number | undefined;
}

/** The default, the least and the greatest value of each number. Most mistakes, such as milliseconds, are outside. */
const NUMBERS = {
  headStart: [1.2, 0, 600],
  openTimeout: [8, 0.1, 600],
  postTimeout: [10, 0.1, 600],
  // The retry budget is in proportion: without a lower bound there would be none.
  retryBase: [0.5, 0.01, 60],
  retryMax: [30, 0.01, 3600],
  fallbackFor: [300, 0.1, 86400],
  queueMessages: [1e5, 1, 1e7],
  queueBytes: [2 ** 26, 1, 1e10],
} as const;

/** All options, with defaults for those that were not given. */
export type Options = {
  readonly [Name in Exclude<keyof ChannelOptions, "credentials">]-?: Exclude<ChannelOptions[Name], undefined>;
} & Pick<ChannelOptions, "credentials">;

/**
 * Returns `options` with defaults; an undefined option counts as not given.
 *
 * Throws `ChannelError` with code `invalid_argument` for a wrong value and for an unknown name.
 */
export function withDefaults(options: ChannelOptions): Options {
  checkArgument(options && typeof options === "object", "options must be an object");
  const all: { [name: string]: unknown } = { transports: TRANSPORTS, withCredentials: false, credentials: undefined };
  for (const [name, [value]] of Object.entries(NUMBERS)) all[name] = value;
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    checkArgument(Object.hasOwn(all, name), `there is no option ${name}, only ${Object.keys(all).join(", ")}`);
    all[name] = value;
  }
  for (const [name, [, least, greatest]] of Object.entries(NUMBERS)) {
    const value = all[name];
    const isInteger = name.startsWith("queue");
    const isNumber = isInteger ? Number.isInteger(value) : typeof value === "number";
    const kind = isInteger ? "an integer" : "a number of seconds";
    // Comparisons with NaN are false.
    const isWithin = isNumber && (value as number) >= least && (value as number) <= greatest;
    checkArgument(isWithin, `option ${name} must be ${kind} from ${least} to ${greatest}`);
  }
  checkArgument(typeof all["withCredentials"] === "boolean", "option withCredentials must be true or false");
  const checked = all as unknown as Options;
  return { ...checked, transports: checkTransports(checked.transports) };
}

export interface ChannelEventMap<Received = unknown, Sent = unknown> {
  /** A session is open: the first one, or the one after a `reset`. */
  open: Event;
  message: Event & { readonly data: Received; readonly recovered: boolean };
  transport: Event & { readonly transport: TransportName };
  /**
   * `channel.state` has changed. If another event tells of that as well, this one comes just before it. `state` is what
   * it was changed to; an earlier listener of this event may have changed it again.
   */
  statechange: Event & { readonly state: ChannelState; readonly previous: ChannelState };
  recovering: Event & { readonly reason: string };
  /**
   * Every transport has failed, or the server has asked to wait. The client goes on trying; the event fires once until
   * something has connected, or the application has called `reconnect()`. A restart of the server is enough. `reason`
   * tells in words what is wrong and what to do.
   */
  unreachable: Event & { readonly cause: UnreachableCause; readonly reason: string };
  /**
   * The application has suspended the channel; or nothing was received for so long (two minutes by default) that the
   * session must have expired, and the channel keeps trying. `resume()` is right after both.
   */
  suspended: Event;
  resumed: Event & { readonly replayed: number };
  reset: Event & {
    readonly reason: string;
    /**
     * The first and last number of the lost messages. The last is null if it is unknown how many follow (`overflow`).
     * Empty if nothing was lost, null if that is unknown.
     */
    readonly lost: LostRange | null;
    /** How many messages got no number because the server's buffer was full, as far as it had counted. */
    readonly dropped: number;
    readonly sends: readonly { readonly message: Sent; readonly fate: Fate }[];
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
