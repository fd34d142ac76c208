// What the connector reports to its owner, the driver.
import type { Diagnosis } from "./diagnosis.ts";
import type { Attached, Input } from "./events.ts";
import type { TransportName } from "./frames.ts";
import type { Link } from "./link.ts";

export interface ConnectorListener {
  onInput(link: Link, input: Input): void;
  /** The server was heard from, over the active connection. */
  onContact(): void;
  /** A connection over `transport` has become the active one. */
  onActive(transport: TransportName, attached: Attached): void;
  /** No connection is active any more. */
  onInactive(reason: string): void;
  /** Every transport has failed, for the first time in this outage. */
  onUnreachable(diagnosis: Diagnosis): void;
  /** Something is due. */
  schedule(): void;
}
