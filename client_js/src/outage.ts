// How long a channel has been without a connection that works. Pure: times are arguments.

/** Seconds after which a connection counts as steady: it ends the outage, and if it fails, its transport is not why. */
export const STEADY_AFTER = 5;

export class Outage {
  /** Its start, moved forward by the time for which a connection has worked since. */
  private _since: number;
  private _connectedAt = 0;
  private _isReported = false;

  constructor(now: number) {
    this._since = now;
  }

  /** Returns its length in seconds: what the next retry may wait. */
  seconds(now: number): number {
    return now - this._since;
  }

  /** Starts anew: a connection was steady, or the page or the application asked for another. */
  restart(now: number): void {
    this._since = now;
  }

  /** Records that a connection has opened: the channel was without one. */
  connected(now: number): void {
    this._connectedAt = now;
    this._isReported = false;
  }

  /** Records that no connection is left. */
  disconnected(now: number): void {
    const seconds = now - this._connectedAt;
    this._since = seconds > STEADY_AFTER ? now : this._since + seconds;
  }

  /** Returns whether to report that nothing connects: once, until something has. */
  report(): boolean {
    const isNew = !this._isReported;
    this._isReported = true;
    return isNew;
  }
}
