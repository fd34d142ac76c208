// Saves a session for the next page, and restores it there.
import type { BufferedMessage } from "./buffer.ts";
import { encodeMessage, fromBase64, toBase64 } from "./codec.ts";
import { LONE_SURROGATE } from "./json.ts";
import type { ClientSession } from "./session.ts";

/** Changes with the fields of `Snapshot` and their meaning: a page may have been loaded before a deployment. */
const VERSION = 1;

/** What one page hands to the next, as JSON. */
interface Snapshot<Entry> {
  readonly version: number;
  readonly client: string;
  readonly token: string;
  readonly epoch: string;
  readonly id: string;
  readonly attaches: number;
  readonly confirmed: number;
  readonly received: number;
  readonly first: number;
  readonly next: number;
  /** What was not acknowledged. */
  readonly entries: readonly Entry[];
}

/** A message as JSON, or as base64 of bytes; neither if the server refused it. */
interface SavedEntry {
  readonly json?: string;
  readonly bytes?: string;
}

/** A snapshot that was checked. */
export type SavedSession = Snapshot<BufferedMessage<unknown>>;

/** Returns an open session in the form in which it is saved. */
export function saveSession(session: ClientSession<unknown>): Snapshot<SavedEntry> {
  const { first, next, entries } = session.outbox.buffer;
  return {
    version: VERSION,
    client: session.client,
    token: session.token!,
    epoch: session.epoch!,
    id: session.id!,
    attaches: session.attaches,
    confirmed: session.confirmed,
    received: session.acks.received,
    first,
    next,
    entries: entries.map(saveEntry),
  };
}

function saveEntry({ body, skipped }: BufferedMessage<unknown>): SavedEntry {
  if (skipped) return {};
  return typeof body === "string" ? { json: body } : { bytes: toBase64(body) };
}

/** Ends a session here that the next page continues: nobody here learns what becomes of its sends. */
export function releaseSession(session: ClientSession<unknown>): void {
  const { buffer } = session.outbox;
  // The next page writes those without a number too.
  buffer.next = buffer.lastNumber + 1;
  session.reset();
}

/** Returns the session that was saved as `text`, or undefined unless this version of the client wrote it. */
export function readSession(text: string | null): SavedSession | undefined {
  try {
    const saved = JSON.parse(text!) as Snapshot<SavedEntry>;
    const { version, client, token, epoch, id, attaches, confirmed, received, first, next } = saved;
    const entries = saved.entries.map(restoreEntry);
    const isValid =
      version === VERSION &&
      [client, token, epoch, id].every(isText) &&
      /^[\w-]{16,64}$/.test(client) &&
      isCount(attaches, 1) &&
      isCount(confirmed, 0, attaches) &&
      isCount(received, 0) &&
      isCount(first, 1) &&
      isCount(next, first, first + entries.length);
    if (isValid) return { ...saved, entries };
  } catch {
    // Something else is stored there.
  }
  return undefined;
}

const isText = (value: unknown): boolean => typeof value === "string" && value !== "" && !LONE_SURROGATE.test(value);

const isCount = (value: unknown, least: number, greatest = Infinity): boolean =>
  Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= greatest;

/** Throws unless `saved` is one that `saveEntry` made. It has no tag: its promise ended with the previous page. */
function restoreEntry(saved: SavedEntry): BufferedMessage<unknown> {
  const [[kind, text] = ["", ""], ...others] = Object.entries(saved) as [string, string][];
  const isEntry = typeof saved === "object" && !Array.isArray(saved) && !others.length;
  if (!isEntry || !/^(json|bytes)?$/.test(kind) || typeof text !== "string") throw new TypeError();
  // Encoded again, as anything may be stored there: it was checked against the limits when it was sent.
  const message: unknown = kind === "json" ? JSON.parse(text) : fromBase64(text);
  const encoded = encodeMessage(message, { message: Infinity, depth: Infinity });
  return { ...encoded, tag: undefined, skipped: !kind };
}

/** Restores the saved session into `session`, which is new but has its `client`. */
export function restoreSession(session: ClientSession<unknown>, saved: SavedSession): void {
  session.token = saved.token;
  session.epoch = saved.epoch;
  session.id = saved.id;
  session.attaches = saved.attaches;
  session.confirmed = saved.confirmed;
  session.acks.received = saved.received;
  const { buffer } = session.outbox;
  buffer.first = buffer.next = saved.first;
  for (const entry of saved.entries) {
    buffer.push(entry);
    if (buffer.lastNumber < saved.next) buffer.markWritten(buffer.lastNumber, entry);
  }
}
