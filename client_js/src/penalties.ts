// The penalties of transports. They are kept in local storage for the next page, by origin of the server.
//
// Storage may be missing, full or blocked, and any script can write to it: its content is a hint, and its errors are
// ignored.
import { readClock } from "./environment.ts";
import type { Environment } from "./environment.ts";
import { penalize } from "./fallback.ts";
import type { Penalties } from "./fallback.ts";
import type { TransportName } from "./frames.ts";

/** Seconds for which a penalty is remembered after its probe was due: a day. */
const EXPIRY = 86400;

/** Returns the key of what all pages of a browser share about the server at `url`. */
export const originKey = (url: string): string => "onechannel " + new URL(url).origin;

export class PenaltyStore {
  current: Penalties;
  private readonly _environment: Environment;
  private readonly _url: string;
  private readonly _maxWait: number;

  /** Starts with what an earlier page learned. `maxWait`: maximum seconds between two probes. */
  constructor(environment: Environment, url: string, maxWait: number) {
    this._environment = environment;
    this._url = url;
    this._maxWait = maxWait;
    this.current = loadPenalties(environment, url);
  }

  /** Penalizes `transport`, which failed while another worked. `isMute`: an intermediary buffers its stream. */
  penalize(transport: TransportName, isMute: boolean | undefined): void {
    const random = this._environment.Math.random();
    const now = readClock(this._environment);
    this.current[transport] = penalize(this.current[transport], isMute, now, random, this._maxWait);
    this._save();
  }

  /** Removes the penalty of `transport`, which works. */
  remove(transport: TransportName): void {
    delete this.current[transport];
    this._save();
  }

  /** Forgets the penalties in this page: they were learned under other circumstances. */
  clear(): void {
    this.current = {};
  }

  /** Penalties use the monotonic clock in memory, and wall-clock time in storage. */
  private _save(): void {
    const offset = this._environment.Date.now() / 1000 - readClock(this._environment);
    try {
      const entries = Object.entries(this.current).map(([name, { probeAt, wait }]) => [name, probeAt + offset, wait]);
      this._environment.localStorage!.setItem(originKey(this._url), JSON.stringify(entries));
    } catch {
      // The next page will find out for itself.
    }
  }
}

function loadPenalties(environment: Environment, url: string): Penalties {
  const penalties: Penalties = {};
  const wall = environment.Date.now() / 1000;
  try {
    const entries = JSON.parse(environment.localStorage!.getItem(originKey(url))!) as [TransportName, number, number][];
    for (const [name, probeAt, wait] of entries) {
      if (!(probeAt > wall - EXPIRY && wait > 0)) continue;
      // The wall clock may have been set: no probe is due later than the wait that was saved.
      penalties[name] = { probeAt: readClock(environment) + Math.min(probeAt - wall, wait), wait };
    }
  } catch {
    // Nothing is saved, or nothing of ours.
  }
  return penalties;
}
