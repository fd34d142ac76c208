// How long to wait before the next attempt. Pure: the random number is an argument.

/**
 * Returns the seconds to wait after an `outage` of that many seconds.
 *
 * Full jitter, for the first retry too, or all pages would come back to a restarted server in the same moment.
 * The delay grows with the outage and hardly exceeds it, so that no page is away for long after a short one.
 */
export const backoff = (outage: number, random: number, base: number, maximum: number): number =>
  random * Math.min(maximum, base + outage);
