// Saves a session for the next page, and restores it there.
import type { BufferedMessage } from "./buffer.ts";
import { fromBase64, toBase64 } from "./codec.ts";
import type { ClientSession } from "./session.ts";

/** What one page hands to the next, as JSON. */
export interface SavedSession {
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
  readonly entries: readonly SavedEntry[];
}

/** A message as JSON, or as base64 of bytes; neither if the server refused it. */
interface SavedEntry {
  readonly size: number;
  readonly json?: string | undefined;
  readonly bytes?: string | undefined;
}

/** Returns an open session in the form in which it is saved. */
export function saveSession(session: ClientSession<unknown>): SavedSession {
  const { first, next, entries } = session.outbox.buffer;
  return {
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

function saveEntry({ body, size, skipped }: BufferedMessage<unknown>): SavedEntry {
  if (skipped) return { size };
  return typeof body === "string" ? { size, json: body } : { size, bytes: toBase64(body) };
}

/** Restores the saved session into `session`, which is new. */
export function restoreSession(session: ClientSession<unknown>, saved: SavedSession): void {
  session.client = saved.client;
  session.token = saved.token;
  session.epoch = saved.epoch;
  session.id = saved.id;
  session.attaches = saved.attaches;
  session.confirmed = saved.confirmed;
  session.acks.received = saved.received;
  const { buffer } = session.outbox;
  buffer.first = saved.first;
  buffer.next = saved.first;
  for (const savedEntry of saved.entries) {
    const entry = restoreEntry(savedEntry);
    buffer.push(entry);
    if (buffer.lastNumber < saved.next) buffer.markWritten(buffer.lastNumber, entry);
  }
}

/** Has no tag: its promise ended with the previous page. */
const restoreEntry = ({ size, json, bytes }: SavedEntry): BufferedMessage<unknown> => ({
  body: json ?? fromBase64(bytes ?? ""),
  size,
  tag: undefined,
  skipped: json === undefined && bytes === undefined,
});
