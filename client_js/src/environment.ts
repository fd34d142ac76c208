/**
 * What the driver takes from the world around it: the page's global object, or, in a test, an object that
 * stands for it. Its members are looked up when they are called: what a page replaces is used.
 */
export type Environment = Pick<
  typeof globalThis,
  "performance" | "setTimeout" | "clearTimeout" | "Math" | "crypto" | "fetch" | "WebSocket"
> & {
  /** What a relative URL is relative to; a worker has only the other. */
  readonly document?: { readonly baseURI: string };
  readonly location?: { readonly href: string };
};

/**
 * 160 random bits as text, of at most 54 characters, and of 22 or more but once in 10^28 (OPN-3). Not
 * crypto.randomUUID, which plain http lacks.
 */
export const mint = (env: Environment): string => env.crypto.getRandomValues(new Uint32Array(5)).join("-");
