// Puts `FallbackWebSocket` in the place of the page's `WebSocket`, for code that cannot be changed.
import { baseOf, nativeWebSocket } from "./environment.ts";
import type { Replacement } from "./environment.ts";
import { FallbackWebSocket, isDialed } from "./fallback_websocket.ts";
import type { ChannelOptions } from "./index.ts";
import { readUrl } from "./websocket_arguments.ts";

type Constructor = typeof WebSocket;

/** Which WebSockets are replaced: a URL and what is below its path, what is found in a URL, or what a function says. */
export type Pattern = string | RegExp | ((url: URL) => boolean);

/**
 * Replaces `globalThis.WebSocket`: for a URL that matches `pattern`, `new WebSocket(url)` makes a `FallbackWebSocket`
 * with these options, and for any other one a WebSocket of the platform. Call it before the code that is to use it runs.
 *
 * `pattern`: a URL, relative or absolute, which matches itself and everything below its path; or a regular expression
 * that is searched in the absolute URL, which begins with `ws:` or `wss:`; or a function that is given this URL.
 *
 * Returns a function that puts the former class back. Sockets that exist stay as they are.
 */
export function install(pattern: Pattern, options: ChannelOptions = {}): () => void {
  const matches = matcher(pattern);
  const Former = (globalThis as { WebSocket?: Constructor }).WebSocket;
    const Fallback = FallbackWebSocket.with(options);
  const Base = Former ?? Fallback;
  const make = function (url: unknown): object {
    if (!new.target) throw new TypeError("a WebSocket is made with `new`");
    const address = readUrl(url, baseOf(globalThis));
    // A script that has wrapped this class may have hidden from the client that it is one of ours.
    const Class = address && !isDialed(address) && matches(address) ? Fallback : Former;
    if (!Class) throw new TypeError("this environment has no WebSocket, and install() makes none for " + String(url));
    return Reflect.construct(Class, arguments, new.target) as object;
  };
  // Sockets of both kinds have this prototype, or that of a class which extends this one.
  const prototype = make.prototype as object;
  const kindOf = (socket: object): object =>
    ((socket as FallbackWebSocket)._listening ? Fallback : Base).prototype;
  for (const { prototype: ours } of [FallbackWebSocket, EventTarget])
    for (const name of Reflect.ownKeys(ours))
      if (name !== "constructor") Object.defineProperty(prototype, name, dispatch(ours, name, kindOf));
  Object.setPrototypeOf(prototype, Base.prototype);
  // It has the constants and, for a class that extends it, the options.
  Object.setPrototypeOf(make, Fallback);
  Object.defineProperty(make, "name", { value: "WebSocket" });
  const replacement: Replacement = { __native: nativeWebSocket(globalThis) };
  const WebSocket = Object.assign(make as unknown as Constructor, replacement);
  globalThis.WebSocket = WebSocket;
  return () => {
    if (globalThis.WebSocket === WebSocket) globalThis.WebSocket = Former!;
  };
}

/** Returns a member of a prototype that is, for each object, the member `name` of its kind's prototype. */
function dispatch(ours: object, name: PropertyKey, kindOf: (socket: object) => object): PropertyDescriptor {
  const member = { enumerable: true, configurable: true };
  // Not an accessor: the page can replace it.
  if (typeof Object.getOwnPropertyDescriptor(ours, name)!.value === "function")
    return Object.assign(member, {
      writable: true,
      value(this: object, ...words: unknown[]) {
        return (Reflect.get(kindOf(this), name) as (...words: unknown[]) => unknown).apply(this, words);
      },
    });
  return Object.assign(member, {
    get(this: object) {
      return Reflect.get(kindOf(this), name, this) as unknown;
    },
    set(this: object, value: unknown) {
      Reflect.set(kindOf(this), name, value, this);
    },
  });
}

/** Returns a function that tells which addresses match. */
function matcher(pattern: Pattern): (url: URL) => boolean {
  if (typeof pattern === "function") return pattern;
  if (pattern instanceof RegExp) return ({ href }) => href.search(pattern) >= 0;
  const { origin, pathname } = readUrl(pattern, baseOf(globalThis)) ?? {};
  if (!pathname) throw new TypeError(`install() needs the URL of WebSockets, a RegExp or a function, not ${pattern}`);
  const folder = pathname.replace(/\/*$/, "/");
  return (url) => url.origin === origin && (url.pathname + "/").startsWith(folder);
}
