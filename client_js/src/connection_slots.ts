// Slots for held connections, shared by all tabs of a browser.
//
// Over HTTP/1.1 a browser opens six connections to one server, for all its tabs together. A tab that holds
// one, for a stream or a held poll, takes a slot, of which there are four: two connections stay free for
// requests that are answered at once. A tab without a slot polls without being held. A slot is a Web Lock: it
// is released when its tab ends, however that ends, and no tab depends on another, as it would on one that
// shared its stream. A page that has no access to locks does without slots.
import type { Environment } from "./environment.ts";
import { keyOf } from "./saved_marks.ts";

const SLOTS = 4;

/** The slot of one channel, which needs no more than one, however many connections it begins. */
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

/** Takes a free slot of the server of `url`, until `released` settles. Returns whether there was one. */
export const acquireSlot = (
  environment: Environment,
  url: string,
  released: Promise<void>,
  slot = 0,
): Promise<boolean> =>
  new Promise<boolean>((resolve, reject) => {
    environment
      .navigator!.locks!.request(keyOf(url) + slot, { ifAvailable: true }, (lock) => {
        if (!lock) {
          resolve(slot + 1 < SLOTS && acquireSlot(environment, url, released, slot + 1));
          return undefined;
        }
        resolve(true);
        return released;
      })
      .catch(reject);
  }).catch(() => true);
