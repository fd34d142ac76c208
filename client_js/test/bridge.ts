// Runs cores of clients for the random schedules of tests/properties, which are in Python.
//
// One line of input asks for calls, as JSON; one line of output has their results. It reads and writes synchronously,
// and each call brings its `now`: so a schedule has one virtual clock, and is the same each time. Only what the
// driver of a channel uses of the core is used here.
import { readSync, writeSync } from "node:fs";
import type { Input, Output, SessionEvent } from "../src/events.ts";
import type { TransportName } from "../src/frames.ts";
import type { Link } from "../src/link.ts";
import { ClientSession } from "../src/session.ts";
import { readSession, restoreSession, saveSession } from "../src/session_handover.ts";
import { DEFAULT_TERMS } from "../src/terms.ts";
import { finalPost } from "../src/uplink.ts";

/** The number of a send, counted over all sessions of its client. */
type Tag = number;

/** Events, and then what each link writes that is left, by its attach. */
type Turn = readonly [events: unknown[], written: (readonly [attach: number, outputs: Output[]])[]];

/** One client, with its links by their attaches. */
class Client {
  readonly session: ClientSession<Tag>;
  #links = new Map<number, Link>();
  #nonce = "";

  constructor(name: string) {
    this.session = new ClientSession(name, () => this.#nonce);
  }

  /** Continues the session of `original`, as a page does that got its storage; and learns of its sends. */
  restore({ session: original }: Client): void {
    const { session } = this;
    const saved = readSession(JSON.stringify(saveSession(original)))!;
    restoreSession(session, saved);
    session.confirmed = 0;
    session.outbox.buffer.entries.forEach((entry, index) => (entry.tag = original.outbox.buffer.entries[index]!.tag));
  }

  attach(transport: TransportName, nonce: string): number {
    this.#nonce = nonce;
    const link = this.session.attach(transport);
    this.#links.set(link.attach, link);
    return link.attach;
  }

  /** Sends a message that was checked against the terms of another server, which may be wider. */
  send(message: unknown, tag: Tag): void {
    const { session } = this;
    const { terms } = session;
    session.terms = DEFAULT_TERMS;
    session.send(message, tag);
    session.terms = terms;
  }

  close(code: number, reason: string): void {
    this.session.close(code, reason);
  }

  /** Does what the driver does as its page is unloaded, which may come back from the cache of the browser. */
  leave(now: number, room: number): Turn {
    const { session } = this;
    session.isLeaving = true;
    const events = [...this.#links.values()].map((link) => {
      const outputs = session.leads(link) ? this.#unload(link, now, room) : [];
      return { type: "dropped", link, reason: "unloaded", retryIn: 0, outputs } as const;
    });
    for (const { link } of events) session.remove(link);
    return this.#turn(events, now);
  }

  #unload(link: Link, now: number, room: number): Output[] {
    const outputs = link.transport === "websocket" ? this.session.transmit(link, now) : [];
    return [...outputs, { request: "post", frames: finalPost(this.session, link, room, false) }];
  }

  transmit(now: number): Turn {
    return this.#turn([], now);
  }

  handleInput(now: number, attach: number, input: Input): Turn {
    return this.#turn(this.session.handleInput(this.#links.get(attach)!, input, now), now);
  }

  tick(now: number): Turn {
    return this.#turn(this.session.tick(now), now);
  }

  #turn(events: readonly SessionEvent<Tag>[], now: number): Turn {
    for (const event of events) if (event.type === "dropped") this.#links.delete(event.link.attach);
    const written = [...this.#links].map(([attach, link]) => [attach, this.session.transmit(link, now)] as const);
    if (events.some(({ type }) => type === "closed")) this.#links.clear();
    return [events.map(withAttach), written];
  }

  /** The fields of `ClientMarks`. JSON makes null of an infinite deadline. */
  marks(): object {
    const { acks, closing, deadline, outbox, serverClose } = this.session;
    const { first, next, lastNumber } = outbox.buffer;
    return {
      received: acks.received,
      acked: first - 1,
      sent: next - 1,
      last: lastNumber,
      is_carried: this.session.isCarried(),
      is_ending: !!closing || (!!serverClose && serverClose.retry_in === undefined),
      deadline,
    };
  }
}

/** Writes a link as its attach. */
const withAttach = (event: SessionEvent<Tag>): unknown => ("link" in event ? { ...event, link: event.link.attach } : event);

type Method = "attach" | "send" | "close" | "leave" | "transmit" | "handleInput" | "tick" | "marks";
type Call = readonly [client: number, method: Method | "new" | "restore" | "forget", ...args: unknown[]];

const clients = new Map<number, Client>();

function call([id, method, ...args]: Call): unknown {
  if (method === "new") return void clients.set(id, new Client(args[0] as string));
  if (method === "forget") return void clients.delete(id);
  const client = clients.get(id)!;
  if (method === "restore") return client.restore(clients.get(args[0] as number)!);
  return (client[method] as (...args: unknown[]) => unknown)(...args);
}

/** Makes the calls of a line. The answer has the result of the last, and the marks of its client. */
function answer(line: string): unknown {
  try {
    const calls = JSON.parse(line) as Call[];
    let result: unknown;
    for (const one of calls) result = call(one);
    return [result ?? null, clients.get(calls.at(-1)![0])?.marks()];
  } catch (error) {
    return { error: (error as Error).stack };
  }
}

/** Yields the lines of the standard input until it ends. */
function* readLines(): Generator<string> {
  const chunk = Buffer.alloc(65536);
  let rest: Buffer = Buffer.alloc(0);
  for (let size = readSync(0, chunk); size; size = readSync(0, chunk)) {
    rest = Buffer.concat([rest, chunk.subarray(0, size)]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield rest.toString("utf8", 0, end);
      rest = rest.subarray(end + 1);
    }
  }
}

for (const line of readLines()) {
  const text = Buffer.from(JSON.stringify(answer(line)) + "\n");
  for (let written = 0; written < text.length; ) written += writeSync(1, text, written);
}
