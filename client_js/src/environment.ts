/**
 * What the client uses of the page's global object; a test passes an object of its own. Members are looked up
 * when they are called, so that what a page replaces is used. A worker has no document, and some contexts lack
 * others of the optional members.
 */
export type Environment = Pick<
  typeof globalThis,
  "performance" | "setTimeout" | "clearTimeout" | "Math" | "Date" | "crypto" | "fetch" | "WebSocket"
> & {
  readonly document?: Pick<Document, "baseURI" | "visibilityState" | "addEventListener">;
  readonly location?: { readonly href: string };
  readonly addEventListener?: Window["addEventListener"];
  readonly navigator?: { readonly locks?: Pick<LockManager, "request">; readonly connection?: EventTarget };
  /** Reading one of these throws if the user has forbidden storage. */
  readonly localStorage?: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  readonly sessionStorage?: Pick<Storage, "getItem" | "setItem" | "removeItem">;
};

/** Returns the seconds of a monotonic clock. */
export const readClock = (environment: Environment): number => environment.performance.now() / 1000;

/** Resolves `url` relative to the page or, in a worker, to its script. */
export const resolveUrl = ({ document, location }: Environment, url: string | URL): string =>
  new URL(url, document?.baseURI ?? location?.href).href;

/**
 * Returns 160 random bits as text, of at most 54 characters, and of 22 or more but once in 10^28 (OPN-3).
 * Not crypto.randomUUID, which pages of plain http lack.
 */
export const randomId = (environment: Environment): string =>
  environment.crypto.getRandomValues(new Uint32Array(5)).join("-");
