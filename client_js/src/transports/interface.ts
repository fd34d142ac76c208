// What a transport is: an adapter of two members. It knows no numbers, keeps nothing, retries nothing.
import type { Environment } from "../environment.ts";
import type { Input, Output } from "../events.ts";

/** One connection. What it reports after `drop` is passed over. */
export interface Transport {
  send(out: Output): void;
  /** `spoken`: only once the last word has arrived, where that takes a request of its own. */
  drop(spoken?: boolean): void;
}

/** What a connection is given: where to go, and whom to tell. */
export interface Wiring {
  readonly env: Environment;
  /** The channel's URL with this last segment. */
  readonly url: (segment: string) => string;
  readonly cookies: RequestCredentials;
  /** Milliseconds that a POST may take (SND-1). */
  readonly timeout: number;
  /** The other end answers: it was upgraded, or the headers of a stream came. */
  readonly reached: () => void;
  readonly hear: (heard: Input) => void;
}
