// Many tabs: over HTTP/1.1 a browser opens six connections to one server, for all its tabs together.
//
// A tab whose connection is held, as a stream or a held poll, takes a seat, of which there are four: two connections
// stay free for what is answered at once. Who finds no seat left polls without being held. A seat is a Web Lock: it
// passes on when its tab ends, however it ends. Nobody counts, and no tab depends on another, as it would on one
// that shared its stream. Where a page may not have locks there are no seats to run out of.
import type { Environment } from "./environment.ts";
import { keyOf } from "./saved_marks.ts";

const MAX_HELD_CONNECTIONS = 4;

/** Whether there is a seat to the server of `url`; if so, it is taken until `left` settles. */
export const acquireSlot = (env: Environment, url: string, left: Promise<void>, seat = 0): Promise<boolean> =>
  new Promise<boolean>((resolve, reject) => {
    env.navigator!.locks!
      .request(keyOf(url) + seat, { ifAvailable: true }, (lock) => {
        resolve(!!lock || (++seat < MAX_HELD_CONNECTIONS && acquireSlot(env, url, left, seat)));
        return lock && left;
      })
      .catch(reject);
  })
    // No locks: nobody counts.
    .catch(() => true);
