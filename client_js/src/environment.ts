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

/** 128 random bits as text (OPN-3). Not crypto.randomUUID, which plain http lacks. */
export const mint = (env: Environment): string =>
  Array.from(env.crypto.getRandomValues(new Uint8Array(16)), (byte) => (byte + 256).toString(16).slice(1)).join("");
