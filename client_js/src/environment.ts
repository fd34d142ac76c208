// Everything that the driver takes from the world around it, so that a test can be that world.

export interface Environment {
  /** Seconds of a monotonic clock. */
  now(): number;
  setTimeout(act: () => void, milliseconds: number): unknown;
  clearTimeout(timer: unknown): void;
  /** From 0 to 1, for jitter. */
  random(): number;
  /** 128 random bits as text (OPN-3). */
  mint(): string;
  fetch(url: string, init: RequestInit): Promise<Response>;
  webSocket(url: string): WebSocket;
  /** What a relative URL is relative to. */
  base(): string | undefined;
}

/** Looked up at each call: nothing is read at import, and what a page replaces is used. */
export const browser: Environment = {
  now: () => performance.now() / 1000,
  setTimeout: (act, milliseconds) => setTimeout(act, milliseconds),
  clearTimeout: (timer) => clearTimeout(timer as number),
  random: () => Math.random(),
  // Not crypto.randomUUID, which plain http lacks.
  mint: () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => (byte + 256).toString(16).slice(1)).join(""),
  fetch: (url, init) => fetch(url, init),
  webSocket: (url) => new WebSocket(url),
  base: () => globalThis.document?.baseURI,
};
