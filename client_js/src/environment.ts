/**
 * What the driver takes from the world around it: the page's global object, or, in a test, an object that
 * stands for it. Its members are looked up when they are called: what a page replaces is used. A worker has
 * no document, and not every context the rest of what may be absent.
 */
export type Environment = Pick<
  typeof globalThis,
  "performance" | "setTimeout" | "clearTimeout" | "Math" | "Date" | "crypto" | "fetch" | "WebSocket"
> & {
  /** What a relative URL is relative to; a worker has only the other. */
  readonly document?: Pick<Document, "baseURI" | "visibilityState" | "addEventListener">;
  readonly location?: { readonly href: string };
  readonly addEventListener?: Window["addEventListener"];
  readonly navigator?: { readonly locks?: Pick<LockManager, "request">; readonly connection?: EventTarget };
  /** Reading one of these throws where the user has forbidden storage. */
  readonly localStorage?: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  readonly sessionStorage?: Pick<Storage, "getItem" | "setItem" | "removeItem">;
};

/**
 * 160 random bits as text, of at most 54 characters, and of 22 or more but once in 10^28 (OPN-3). Not
 * crypto.randomUUID, which plain http lacks.
 */
export const randomId = (env: Environment): string => env.crypto.getRandomValues(new Uint32Array(5)).join("-");
