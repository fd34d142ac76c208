// A session that outlives a reload of its page, for pages that ask for it.
//
// The new page goes on where the old one stopped, with what that had not acknowledged, and with what it had not
// sent. Messages that the old page has received do not come again: the new one must not need them, or the old
// one must have kept them by itself. This module is not part of the client: only pages that use it load it.
import type { Channel } from "./channel.ts";
import { randomId, resolveUrl } from "./environment.ts";
import type { Environment } from "./environment.ts";
import type { ChannelOptions } from "./options.ts";
import { restoreSession, saveSession } from "./session_handover.ts";
import type { SavedSession } from "./session_handover.ts";

/** Milliseconds that the previous page may need to be unloaded. */
const UNLOAD_TIMEOUT = 1000;

/**
 * Makes a channel that takes over the session of the page that was in this tab before, or begins a new one if
 * there was none. Its listeners get `resumed` then, or `reset` if the session has ended in the meantime.
 *
 * The session is claimed under a Web Lock: a duplicated tab gets a session of its own, as does every page that
 * has no locks. A page that comes out of the back/forward cache has given its session away, and gets a new one.
 */
export async function acrossReloads(
  Make: typeof Channel,
  url: string | URL,
  options?: ChannelOptions,
  environment: Environment = globalThis,
): Promise<Channel> {
  const key = "onechannel session " + resolveUrl(environment, url);
  const saved = await claimSavedSession(environment, key);
  const client = saved?.client ?? randomId(environment);
  const isClaimed = saved ? true : await claim(environment, client);
  const channel = new Make(url, options, environment);
  const driver = channel._driver;
  const { session } = driver;
  // The channel begins in the next microtask.
  session.client = client;
  if (saved) {
    restoreSession(session, saved);
    driver.id = saved.id;
  }
  if (!isClaimed) return channel;
  // After the channel's own listener, which writes a final POST.
  environment.addEventListener?.("pagehide", () => {
    try {
      if (!session.token || session.closing || session.serverClose) return;
      environment.sessionStorage!.setItem(key, JSON.stringify(saveSession(session)));
      // It belongs to the next page from now on, even if this one should come back.
      session.reset();
    } catch {
      // The storage is full, or forbidden.
    }
  });
  return channel;
}

/** Returns what the previous page has left, once no other page can have it. */
async function claimSavedSession(environment: Environment, key: string): Promise<SavedSession | undefined> {
  try {
    const saved = JSON.parse(environment.sessionStorage!.getItem(key)!) as SavedSession | null;
    if (!Array.isArray(saved?.entries)) return undefined;
    const isClaimed = await claim(environment, saved.client);
    // Not before: this page may itself be reloaded while it waits.
    environment.sessionStorage!.removeItem(key);
    if (isClaimed) return saved;
  } catch {
    // There is no storage, or nothing of ours in it.
  }
  return undefined;
}

/** Returns whether this page has the session of `client` from now on, for as long as it lives. */
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
