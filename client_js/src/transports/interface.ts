// A transport is an adapter of two functions. It never numbers, stores or retries anything.
import type { Environment } from "../environment.ts";
import type { Input, Output } from "../events.ts";

/** One connection. What it reports after `close` is ignored. */
export interface Transport {
  send(output: Output): void;
  /** `afterPost`: closes once the last POST is answered, if the transport has POSTs. */
  close(afterPost?: boolean): void;
}

/** What a transport gets from its host: the URL, and callbacks to report to. */
export interface TransportContext {
  readonly environment: Environment;
  /** Returns the channel's URL with this last segment. */
  readonly urlOf: (segment: string) => string;
  readonly credentials: RequestCredentials;
  /** Milliseconds that a POST may take (SND-1). */
  readonly postTimeout: number;
  /** The other end has answered: a socket was upgraded, or the headers of a stream came. */
  readonly onReached: () => void;
  readonly onInput: (input: Input) => void;
}
