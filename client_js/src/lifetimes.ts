// Records how long connections last, to detect an intermediary that cuts them at a fixed age. Pure.
import type { TransportName } from "./frames.ts";

/** Seconds: a connection lost at a younger age failed for another reason. */
const MIN_CUT_AGE = 2;

export class Lifetimes {
  /** The ages at which the last two connections were lost, the newest first. */
  private readonly _ages: { [Name in TransportName]?: readonly number[] } = {};

  /** Records that a working connection was lost at `age`, in seconds. */
  record(transport: TransportName, age: number): void {
    this._ages[transport] = [age, this._ages[transport]?.[0] ?? 0];
  }

  /** Returns the age at which connections are cut; infinite unless the last two were lost at about the same age. */
  cutAt(transport: TransportName): number {
    const [last = 0, previous = 0] = this._ages[transport] ?? [];
    return last > MIN_CUT_AGE && Math.abs(last - previous) < 1 + last / 20 ? last : Infinity;
  }
}
