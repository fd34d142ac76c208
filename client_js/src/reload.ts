// A session that outlives a reload of its page, for pages that ask for it: the new page goes on where the old one
// went, with what that had not acknowledged, and with what it had not sent. What the old page had seen, the new one
// never will: it must not need it, or have kept it by itself.
//
// A module of its own, beside the client: a page that does not ask for it does not load it.
import type { Channel } from "./channel.ts";
import { fromBase64, toBase64 } from "./codec.ts";
import { randomId } from "./environment.ts";
import type { Environment } from "./environment.ts";
import type { ChannelOptions } from "./options.ts";

/** What one page leaves for the next. */
interface SavedSession {
  readonly client: string;
  readonly token: string;
  readonly epoch: string;
  readonly id: string;
  readonly attaches: number;
  readonly confirmed: number;
  readonly received: number;
  readonly first: number;
  readonly next: number;
  /** What was not acknowledged: JSON, or base64 of bytes; neither for a message that the server refused. */
  readonly entries: readonly { readonly size: number; readonly json?: string | undefined; readonly bytes?: string | undefined }[];
}

/** Milliseconds that the page before may need to go. */
const UNLOAD_TIMEOUT = 1000;

/**
 * Makes a channel that takes over the session of the page that was in this tab before; a new one where there was
 * none. The listeners hear `resumed` then, or `reset` where the session has ended meanwhile.
 *
 * It is claimed under a Web Lock: a duplicated tab gets a session of its own, as does every page where there are no
 * locks. A page that the browser keeps for its back button has given its session away, and comes back with a new one.
 */
export async function acrossReloads(
  Make: typeof Channel,
  url: string | URL,
  options?: ChannelOptions,
  environment: Environment = globalThis,
): Promise<Channel> {
  const { document, location } = environment;
  const key = "onechannel session " + new URL(url, document?.baseURI ?? location?.href);
  const saved = await claimSavedSession(environment, key);
  const client = saved?.client ?? randomId(environment);
  const claimed = saved ?? (await claim(environment, client));
  // It begins in the next turn.
  const channel = new Make(url, options, environment);
  const { _session: session } = channel;
  session.client = client;
  if (saved) restoreSession(channel, saved);
  // Behind the channel's own listener, which says finalPost.
  if (claimed)
    environment.addEventListener?.("pagehide", () => {
      try {
        if (!session.token || session.closing || session.serverClose) return;
        environment.sessionStorage!.setItem(key, JSON.stringify(saveSession(channel)));
        // It is another's from now on, also if this page should come back.
        session.reset();
      } catch {
        // It is full, or forbidden.
      }
    });
  return channel;
}

/** What the page before has left, once nobody else can have it. */
async function claimSavedSession(environment: Environment, key: string): Promise<SavedSession | undefined> {
  try {
    const saved = JSON.parse(environment.sessionStorage!.getItem(key)!) as SavedSession | null;
    if (!Array.isArray(saved?.entries)) return undefined;
    const claimed = await claim(environment, saved.client);
    // Not before: this page may itself be loaded again meanwhile.
    environment.sessionStorage!.removeItem(key);
    if (claimed) return saved;
  } catch {
    // There is no storage, or nothing in it that we wrote.
  }
  return undefined;
}

/** Whether this page has the session of `client` from now on, for as long as it lives. */
const claim = (env: Environment, client: string): Promise<boolean> =>
  new Promise((resolve) => {
    if (!env.navigator?.locks) return resolve(false);
    const patience = new AbortController();
    env.setTimeout(() => patience.abort(), UNLOAD_TIMEOUT);
    env.navigator.locks
      .request("onechannel session " + client, { signal: patience.signal }, () => {
        resolve(true);
        return new Promise(() => {});
      })
      .catch(() => resolve(false));
  });

function saveSession({ _session: session }: Channel): SavedSession {
  const { buffer } = session.outbox;
  return {
    client: session.client,
    token: session.token!,
    epoch: session.epoch!,
    id: session.id!,
    attaches: session.attaches,
    confirmed: session.confirmed,
    received: session.acks.received,
    first: buffer.first,
    next: buffer.next,
    entries: buffer.entries.map(({ body, size, skipped }) =>
      skipped ? { size } : typeof body === "string" ? { size, json: body } : { size, bytes: toBase64(body) },
    ),
  };
}

function restoreSession(channel: Channel, saved: SavedSession): void {
  const { _session: session } = channel;
  const { buffer } = session.outbox;
  session.token = saved.token;
  session.epoch = saved.epoch;
  session.attaches = saved.attaches;
  session.confirmed = saved.confirmed;
  session.acks.received = saved.received;
  (channel as { id: string }).id = session.id = saved.id;
  buffer.first = buffer.next = saved.first;
  for (const { size, json, bytes } of saved.entries) {
    const body = json ?? fromBase64(bytes ?? "");
    // Nobody waits for it any more: who did went with the page.
    const entry = { body, size, tag: undefined, skipped: json === undefined && bytes === undefined };
    const number = buffer.first + buffer.entries.push(entry) - 1;
    if (number < saved.next) buffer.put(number, entry);
  }
}
