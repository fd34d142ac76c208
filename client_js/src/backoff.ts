// How long to wait before the next attempt. Pure: the random number is an argument.

/**
 * Seconds to wait after `failures` failures in a row: full jitter, in the first retry too, or all pages
 * would come back to a restarted server in the same moment.
 */
export const backoff = (failures: number, random: number, base: number, most: number): number =>
  random * Math.min(most, base * 2 ** failures);
