import { ChannelError, checkArgument } from "./errors.ts";
import type { TransportName } from "./frames.ts";

/**
 * The members of the global object that tests replace. They are looked up at each use, so that a page can patch them.
 * A worker has no document, and other contexts lack other optional members.
 */
export type Environment = Pick<
  typeof globalThis,
  "performance" | "setTimeout" | "clearTimeout" | "Math" | "Date" | "crypto" | "fetch" | "WebSocket"
> & {
  readonly document?: Pick<Document, "baseURI" | "visibilityState" | "addEventListener">;
  readonly location?: { readonly href: string };
  readonly addEventListener?: Window["addEventListener"];
  readonly console?: Pick<Console, "error" | "warn">;
  readonly navigator?: {
    readonly locks?: Pick<LockManager, "request">;
    readonly onLine?: boolean;
    readonly connection?: EventTarget & { readonly type?: string };
  };
  /** Reading one of these throws if the user has forbidden storage. */
  readonly localStorage?: Pick<Storage, "getItem" | "setItem" | "removeItem">;
  readonly sessionStorage?: Pick<Storage, "getItem" | "setItem" | "removeItem">;
};

/** Returns the seconds of a monotonic clock. */
export const readClock = (environment: Environment): number => environment.performance.now() / 1000;

/** Throws if a global is missing that every channel needs, as in jsdom: each attempt would fail for an obscure reason. */
export function checkGlobals(): void {
  const missing = ["crypto", "fetch", "TextEncoder"].filter((name) => !(name in globalThis));
  if (missing.length) refuse(missing);
}

function refuse(missing: readonly string[]): never {
  throw new ChannelError("unsupported", `this environment lacks ${missing.join(", ")}: see docs/browser.md`);
}

/** A class that `install` of install.ts has put in the place of the platform's `WebSocket`, if there is one. */
export interface Replacement {
  /** Not shortened: the client may be another copy than the one that has installed it. */
  readonly __native?: typeof WebSocket | undefined;
}

/** Returns the platform's `WebSocket`, also while `install` has replaced it. */
export const nativeWebSocket = ({ WebSocket }: Partial<Environment>): typeof globalThis.WebSocket | undefined =>
  WebSocket && "__native" in WebSocket ? (WebSocket as Replacement).__native : WebSocket;

/** Returns `names`, without WebSocket if the environment lacks it, as Node.js 20 does. Throws if nothing is left. */
export function supportedTransports(
  environment: Partial<Environment>,
  names: readonly TransportName[],
): readonly TransportName[] {
  const WebSocket = nativeWebSocket(environment);
  const supported = names.filter((name) => WebSocket || name !== "websocket");
  return supported.length ? supported : refuse(["WebSocket"]);
}

/** Returns what a relative URL is relative to; undefined in a server. */
export const baseOf = ({ document, location }: Environment): string | undefined => document?.baseURI ?? location?.href;

/**
 * Returns the HTTP address of `url`, which may be relative to the page or, in a worker, to its script.
 *
 * Throws if that is impossible: a blob worker and a server have no address that a relative URL could be relative to.
 */
export function resolveUrl(environment: Environment, url: string | URL): string {
  const base = baseOf(environment);
  let address = "";
  try {
    address = new URL(url, base).href.replace(/^ws/, "http").replace(/#.*/, "");
  } catch {
    // Refused below.
  }
  checkArgument(/^https?:/.test(address), `not an http URL: "${url}" relative to ${base}. Pass an absolute URL.`);
  return address;
}

/**
 * Returns 160 random bits as 22 to 54 characters; fewer once in 10^28 (OPN-3). `crypto.randomUUID` exists only in
 * secure contexts.
 */
export const randomId = (environment: Environment): string =>
  environment.crypto.getRandomValues(new Uint32Array(5)).join("-");
