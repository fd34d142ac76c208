// What the application sets and is told.
import type { Fate } from "./errors.ts";
import { TRANSPORTS } from "./fallback.ts";
import type { TransportName } from "./frames.ts";

export interface ChannelOptions {
  /** Which transports may be used, the best first. All three by default. */
  transports?: readonly TransportName[];
  /** A JSON value for the server's `authenticate`, or a function asked for it at each attach, and as it expires. */
  credentials?: unknown;
  /** Send cookies to another origin too. */
  withCredentials?: boolean;
  /** Seconds that each transport has before the next is begun beside it: 1.2. */
  headStart?: number;
  /** Seconds that an attempt may take until it is open: 8. */
  openTimeout?: number;
  /** Seconds that a POST may take: 10. */
  postTimeout?: number;
  /** Seconds that the first retry waits at most: 0.5; later ones as long as it lasts, up to `retryMax`: 30. */
  retryBase?: number;
  retryMax?: number;
  /** Seconds between two probes of better transports while a fallback is used, at most: 300. It begins with 15. */
  fallbackFor?: number;
  /** How many messages may wait to be sent, and how many for a listener: 100,000. */
  queueMessages?: number;
}

/** All options, with the defaults for those that were not given. */
export type Options = typeof DEFAULTS & Pick<ChannelOptions, "credentials" | "withCredentials">;

const DEFAULTS: Required<Omit<ChannelOptions, "credentials" | "withCredentials">> = {
  transports: TRANSPORTS,
  headStart: 1.2,
  openTimeout: 8,
  postTimeout: 10,
  retryBase: 0.5,
  retryMax: 30,
  fallbackFor: 300,
  queueMessages: 1e5,
};

/** Returns `options` with the defaults; one that is undefined counts as not given. */
export function withDefaults(options: ChannelOptions): Options {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...DEFAULTS, ...Object.fromEntries(given) };
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
