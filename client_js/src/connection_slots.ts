// Slots for held connections, shared by all tabs of a browser.
//
// Over HTTP/1.1 a browser opens six connections to one server, shared by all its tabs. A tab that holds one, for a
// stream or a held poll, takes one of four slots, so two connections stay free for requests that are answered
// immediately. A tab without a slot uses polls that are not held. A slot is a Web Lock: it is released whenever its
// tab ends, for any reason, and no tab depends on another, as it would if one shared its stream. A page without access
// to locks works without slots, and so does one that reaches the server over HTTP/2 or 3.
import type { Environment } from "./environment.ts";
import { originKey } from "./penalties.ts";

const SLOTS = 4;

/** Why a channel without a slot polls, as `explain` tells it. */
export const TOO_MANY_TABS = "too many tabs: four channels of this browser hold a connection to this server";

/** Returns whether the last request to the server at `url` shared one connection with others, over HTTP/2 or 3. */
export function isMultiplexed({ performance }: Environment, url: string): boolean {
  const { origin } = new URL(url);
  // Empty for another origin, unless its server allows the page to see it.
  const known = (performance.getEntries?.() as PerformanceResourceTiming[] | undefined)?.filter(
    ({ name, nextHopProtocol }) => nextHopProtocol && name.startsWith(origin + "/"),
  );
  return /^h[23]/.test(known?.at(-1)?.nextHopProtocol ?? "");
}

/** The slot of one channel. A channel needs only one, however many connections it opens. */
export class ConnectionSlot {
  private readonly _environment: Environment;
  private readonly _url: string;
  private _acquired: Promise<boolean> | undefined;
  private _release: (() => void) | undefined;

  constructor(environment: Environment, url: string) {
    this._environment = environment;
    this._url = url;
  }

  /** Returns whether the channel has a slot, and takes one if it is free. */
  async acquire(): Promise<boolean> {
    const request = (this._acquired ??= this._request());
    const isAcquired = await request;
    if (!isAcquired && this._acquired === request) this._acquired = undefined;
    return isAcquired;
  }

  private _request(): Promise<boolean> {
    const released = new Promise<void>((resolve) => {
      this._release = resolve;
    });
    return acquireSlot(this._environment, this._url, released);
  }

  release(): void {
    this._release?.();
    this._acquired = undefined;
  }
}

/** Takes a free slot for the server at `url` until `released` settles. Resolves to false if all are taken. */
export const acquireSlot = (
  environment: Environment,
  url: string,
  released: Promise<void>,
  slot = 0,
): Promise<boolean> =>
  new Promise<boolean>((resolve, reject) => {
    environment
      .navigator!.locks!.request(originKey(url) + slot, { ifAvailable: true }, (lock) => {
        if (!lock) {
          resolve(slot + 1 < SLOTS && acquireSlot(environment, url, released, slot + 1));
          return undefined;
        }
        resolve(true);
        return released;
      })
      .catch(reject);
  }).catch(() => true);
