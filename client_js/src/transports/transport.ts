// What a transport is: an adapter of two members. It knows no numbers, keeps nothing, retries nothing.
import type { Environment } from "../environment.ts";
import type { Heard, Out } from "../session.ts";

/** One connection. After `drop` it reports nothing more. */
export interface Transport {
  send(out: Out): void;
  drop(): void;
}

/** What a connection is given: where to go, and whom to tell. */
export interface Wiring {
  readonly env: Environment;
  /** The channel's URL with this last segment. */
  readonly url: (segment: string) => string;
  readonly withCredentials: boolean;
  /** Seconds that a POST may take (SND-1). */
  readonly postTimeout: number;
  readonly hear: (heard: Heard) => void;
}
