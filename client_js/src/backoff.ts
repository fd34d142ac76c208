// How long to wait before the next attempt. Pure: the random number is an argument.

/**
 * Seconds to wait, after `lasting` seconds of failures: full jitter, in the first retry too, or all pages would come
 * back to a restarted server in the same moment. So the waits grow like the outage, and none is longer than it was:
 * who is unlucky is not away for long after a short one.
 */
export const backoff = (lasting: number, random: number, base: number, most: number): number =>
  random * Math.min(most, base + lasting);
