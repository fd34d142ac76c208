// How long to wait before the next attempt. Pure: the random number is an argument.

/**
 * Returns the seconds to wait after an `outage` of that many seconds.
 *
 * Full jitter, even for the first retry: otherwise every page would reconnect to a restarted server at the same
 * moment. The delay grows with the outage and barely exceeds it, so a short outage never causes a long wait.
 */
export const backoff = (outage: number, random: number, base: number, maximum: number): number =>
  random * Math.min(maximum, base + outage);
