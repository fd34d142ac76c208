// The retry budget: limits how often a client opens a connection.
import { readClock } from "./environment.ts";
import type { Environment } from "./environment.ts";

/** Two attempts in any `span` of seconds, for all transports together. */
export class RetryBudget {
  private readonly _environment: Environment;
  private readonly _span: number;
  /** When each of the two slots is free again, the earlier first. */
  private readonly _freeAt = [0, 0];

  constructor(environment: Environment, span: number) {
    this._environment = environment;
    this._span = span;
  }

  /** When the next attempt may be made. */
  get freeAt(): number {
    return this._freeAt[0]!;
  }

  /** Resolves once the budget allows an attempt. */
  wait(): Promise<void> {
    return new Promise((resolve) => this.run(resolve));
  }

  /**
   * Runs `attempt` once the budget allows it. One that can `wait` does so for that many seconds, and until the budget
   * allows two.
   */
  run(attempt: () => void, wait = 0): void {
    const now = readClock(this._environment);
    const at = Math.max(now + wait, this._freeAt[wait ? 1 : 0]!);
    this._freeAt[0] = at + this._span;
    this._freeAt.sort((one, other) => one - other);
    if (at > now) this._environment.setTimeout(attempt, (at - now) * 1000);
    else attempt();
  }
}
