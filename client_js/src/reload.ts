// A session that survives a reload of its page, for pages that opt in.
//
// The new page continues at the point at which the old one stopped: it receives what the old page had not
// acknowledged, and resends what the server had not. Messages that the old page received are not repeated: either the
// new page does not need them, or the old page has saved them. This module is not part of the client: only pages that
// use it load it.
import type { Channel } from "./channel.ts";
import { randomId, resolveUrl } from "./environment.ts";
import type { Environment } from "./environment.ts";
import type { ChannelOptions } from "./options.ts";
import { readSession, releaseSession, restoreSession, saveSession } from "./session_handover.ts";
import type { SavedSession } from "./session_handover.ts";

/** Milliseconds that unloading the previous page may take. */
const UNLOAD_TIMEOUT = 1000;

/**
 * Makes a channel that takes over the session of the previous page in this tab, or starts a new one if that page left
 * no session. After a takeover its listeners get `resumed`, or `reset` if the session has ended in the meantime.
 *
 * The session is claimed under a Web Lock: a duplicated tab gets its own session, as does every page without locks. A
 * page restored from the back/forward cache has given its session away, and gets a new one.
 */
export async function acrossReloads<Received = unknown, Sent = unknown>(
  ChannelClass: typeof Channel,
  url: string | URL,
  options?: ChannelOptions,
): Promise<Channel<Received, Sent>>;
/** @internal Tests replace parts of the environment. */
export async function acrossReloads(
  ChannelClass: typeof Channel,
  url: string | URL,
  options: ChannelOptions | undefined,
  environment: Environment,
): Promise<Channel>;
export async function acrossReloads(
  ChannelClass: typeof Channel,
  url: string | URL,
  options?: ChannelOptions,
  environment: Environment = globalThis,
): Promise<Channel> {
  const key = "onechannel session " + resolveUrl(environment, url);
  const saved = await claimSavedSession(environment, key);
  const client = saved?.client ?? randomId(environment);
  const isClaimed = saved || (await claim(environment, client));
  const channel = new ChannelClass(url, options, environment);
  // Not earlier: this page may be reloaded while it waits, or the options may be wrong.
  withStorage(() => environment.sessionStorage!.removeItem(key));
  const driver = channel._driver;
  const { session } = driver;
  // The channel connects in the next microtask.
  session.client = client;
  if (saved) {
    restoreSession(session, saved);
    driver.id = saved.id;
  }
  if (!isClaimed) return channel;
  driver.handsOver = true;
  // After the channel's own listener, which writes a final POST.
  environment.addEventListener?.("pagehide", () =>
    withStorage(() => {
      if (!session.token || session.closing || session.serverClose) return;
      environment.sessionStorage!.setItem(key, JSON.stringify(saveSession(session)));
      // From now on it belongs to the next page, even if this one is shown again.
      releaseSession(session);
    }),
  );
  return channel;
}

function withStorage(act: () => void): void {
  try {
    act();
  } catch {
    // It is full or blocked.
  }
}

/** Returns the session that the previous page saved, once no other page can take it. */
async function claimSavedSession(environment: Environment, key: string): Promise<SavedSession | undefined> {
  try {
    const saved = readSession(environment.sessionStorage!.getItem(key));
    if (saved && (await claim(environment, saved.client))) return saved;
  } catch {
    // Storage is unavailable.
  }
  return undefined;
}

/** Takes the lock of `client` for the lifetime of this page. Resolves to whether it was free in time. */
const claim = (environment: Environment, client: string): Promise<boolean> =>
  new Promise((resolve) => {
    const { locks } = environment.navigator ?? {};
    if (!locks) return resolve(false);
    const controller = new AbortController();
    environment.setTimeout(() => controller.abort(), UNLOAD_TIMEOUT);
    locks
      .request("onechannel session " + client, { signal: controller.signal }, () => {
        resolve(true);
        return new Promise(() => {});
      })
      .catch(() => resolve(false));
  });
