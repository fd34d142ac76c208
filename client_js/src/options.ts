// The options, events and statistics of a channel.
import type { Fate } from "./errors.ts";
import { TRANSPORTS } from "./fallback.ts";
import type { TransportName } from "./frames.ts";

export interface ChannelOptions {
  /** Which transports may be used, the best first. All three by default. */
  transports?: readonly TransportName[];
  /** A JSON value for the server's `authenticate`, or a function that returns it, called at each attach and renewal. */
  credentials?: unknown;
  /** Send cookies to other origins too. */
  withCredentials?: boolean;
  /** Seconds until the next transport is begun beside one that has not answered: 1.2. */
  headStart?: number;
  /** Seconds that an attempt may take to open: 8. */
  openTimeout?: number;
  /** Seconds that a POST may take: 10. */
  postTimeout?: number;
  /** Seconds that the first retry waits at most: 0.5. Later ones wait up to the length of the outage. */
  retryBase?: number;
  /** Seconds that any retry waits at most: 30. */
  retryMax?: number;
  /** Seconds between two probes of a better transport while a fallback is used, at most: 300. The first is after 15. */
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
  /** The server was not heard from for so long (two minutes by default) that the session must have expired. */
  suspended: Event;
  resumed: Event & { readonly replayed: number };
  reset: Event & {
    readonly reason: string;
    /** The first and last number of what never arrived; empty if nothing was lost, null if that is not known. */
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
