// Runs the vectors for the client, which the Python core runs too.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decode, encodeBinary, encodeBytes, encodeControl, encodeData } from "../src/codec.ts";
import type { EncodedFrame } from "../src/codec.ts";
import type { BytesFrame, ClientFrame, Frame, TransportName } from "../src/frames.ts";
import { ClientSession } from "../src/session.ts";
import type { Input, Output, SendFate, SessionEvent } from "../src/events.ts";
import type { Link } from "../src/link.ts";
import { bindNames, readVectors, resolveNames } from "./vectors.ts";
import type { Json, Names, Step, Vector } from "./vectors.ts";
import { opened } from "./world.ts";

/** Malformed frames that this client does not refuse, because no server sends them (FRM-3). */
const TRUSTED = [
  "codec-bytes-with-white-space",
  "codec-bytes-without-padding",
  "codec-close-by-nobody",
  "codec-close-reason-is-no-string",
  "codec-close-without-reason",
  "codec-drain-as-string",
  "codec-opened-kinds-of-a-string",
  "codec-opened-mark-is-null",
  "codec-opened-reset-lost-is-no-range",
  "codec-opened-unknown-verdict",
  "codec-opened-without-limits",
  "codec-reset-lost-begins-with-null",
];

const files = readVectors();
const fromBase64 = (data: string): Uint8Array => new Uint8Array(Buffer.from(data, "base64"));
const toBase64 = (data: Uint8Array): string => Buffer.from(data).toString("base64");

test("there are vectors", () =>
  assert.ok(
    files.some(({ vectors }) => vectors.length > 0),
    "tests/vectors holds none",
  ));

test("every trusted malformed frame is a vector", () => {
  const ids = files.flatMap(({ vectors }) => vectors.map(({ id }) => id));
  assert.deepEqual(
    TRUSTED.filter((id) => !ids.includes(id)),
    [],
  );
});

test("ids are unique", () => {
  const ids = files.flatMap(({ vectors }) => vectors.map(({ id }) => id));
  assert.equal(new Set(ids).size, ids.length);
});

for (const { name, vectors } of files)
  describe(name, () => {
    for (const vector of vectors)
      if (vector.role !== "server" && !TRUSTED.includes(vector.id))
        test(`${vector.id} (${vector.clauses.join(", ")})`, () => run(vector));
  });

function run(vector: Vector): void {
  switch (vector.kind) {
    case "decode":
      return runDecode(vector);
    case "encode":
      return runEncode(vector);
    case "session":
      return new Client(vector.target).run(vector.steps ?? []);
  }
}

function runDecode({ input, input_hex, frame, error }: Vector): void {
  const wire = input_hex === undefined ? input! : asBuffer(Buffer.from(input_hex, "hex"));
  if (error !== undefined) return runRefused(wire);
  const actual = asWritten(decode(wire));
  // Unknown fields are ignored (FRM-3).
  const known = ([key]: [string, unknown]): boolean => key in (frame as object);
  assert.deepEqual(
    Array.isArray(actual) ? actual : Object.fromEntries(Object.entries(actual as object).filter(known)),
    frame,
  );
}

/** A frame that is refused has no effect but, at most, on its connection (FRM-4). */
function runRefused(wire: string | ArrayBuffer): void {
  const session = new ClientSession<string>("client-0123456789", () => "nonce-0123456789abcdef");
  const receive = (link: Link, wire: string | ArrayBuffer): SessionEvent<string>[] =>
    session.handleInput(link, { type: "frame", frame: wire }, 0);
  for (const isOpen of [false, true]) {
    const link = session.attach("websocket");
    const [{ frames: wires }] = session.transmit(link, 0) as [Output];
    if (isOpen) receive(link, JSON.stringify(opened(JSON.parse(wires[0] as string))));
    session.transmit(link, 0);
    const snapshot = (): unknown => structuredClone({ ...session, _randomId: null, _links: null, _events: null });
    const before = snapshot();
    for (const event of receive(link, wire)) assert.equal(event.type, "dropped");
    assert.deepEqual(snapshot(), before);
  }
}

function runEncode({ frame, output, output_hex, carrier }: Vector): void {
  if (Array.isArray(frame)) {
    const [seq, ack, ...messages] = frame as [number, number, ...Json[]];
    return assert.equal(
      encodeData(
        seq,
        ack,
        messages.map((message) => JSON.stringify(message)),
      ),
      output,
    );
  }
  const { number, ack, data } = frame as unknown as BytesFrame;
  if (carrier === "binary")
    assert.equal(Buffer.from(encodeBinary(number, ack, fromBase64(data))).toString("hex"), output_hex);
  else
    assert.equal(
      data === undefined ? encodeControl(frame as unknown as ClientFrame) : encodeBytes(number, ack, fromBase64(data)),
      output,
    );
}

const asBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

/** Returns a decoded frame in the notation of vectors. */
function asWritten(frame: Frame): Json {
  if (frame.type !== "data") return frame as unknown as Json;
  const { seq, ack, messages } = frame;
  const [first] = messages;
  if (first === undefined) return [seq, ack];
  return first instanceof Uint8Array
    ? { type: "bytes", number: seq, ack, data: toBase64(first) }
    : [seq, ack, ...(messages as Json[])];
}

const readWire = (wire: EncodedFrame): Json =>
  typeof wire === "string" ? (JSON.parse(wire) as Json) : asWritten(decode(asBuffer(wire)));

type StepInput = Omit<Step, "expect">;

interface Connection {
  readonly link: Link;
  readonly busy: Set<string>;
}

/** A driver of the core that follows the steps of a vector. */
class Client {
  #nonces = 0;
  #now = 0;
  #names: Names = new Map();
  #connections = new Map<string, Connection>();
  #session = new ClientSession<string>("client-0123456789", () => `nonce-${++this.#nonces}-0123456789abcdef`);

  constructor(subprotocols: string[] | undefined) {
    if (subprotocols) this.#session.target = { subprotocols };
  }

  run(steps: readonly Step[]): void {
    for (const [index, { expect, ...step }] of steps.entries()) {
      const events = "at" in step ? this.#session.tick((this.#now = step["at"] as number)) : [];
      events.push(...this.#do(resolveNames(step, this.#names) as StepInput));
      const actual = this.#outcome(events);
      const expected = bindNames(withoutSuperseded(expect), actual, this.#names);
      assert.deepEqual(actual, expected, `step ${index + 1}: ${JSON.stringify(step)}`);
    }
  }

  #do(step: StepInput): SessionEvent<string>[] {
    const session = this.#session;
    if ("connect" in step) {
      const transport = (step["carrier"] === "poll" ? "longpoll" : step["carrier"]) as TransportName;
      this.#connections.set(step["connect"] as string, { link: session.attach(transport), busy: new Set() });
      return [];
    }
    if ("send" in step) {
      const message = step["send"] as { $bytes?: string } | null;
      session.send(message?.$bytes === undefined ? message : fromBase64(message.$bytes), step["as"] as string);
      return [];
    }
    if ("close" in step) {
      const { code, reason } = step["close"] as { code: number; reason: string };
      session.close(code, reason);
      return [];
    }
    if ("leave" in step) {
      session.isLeaving = true;
      return [];
    }
    if ("tick" in step) return session.tick(this.#now);
    if ("lose" in step) {
      const { link } = this.#connections.get(step["lose"] as string)!;
      const code = step["code"] as number | undefined;
      if (code) return session.handleInput(link, { type: "lost", reason: "closed", code }, this.#now);
      this.#connections.delete(step["lose"] as string);
      return session
        .handleInput(link, { type: "lost", reason: "cut" }, this.#now)
        .filter(({ type }) => type !== "dropped");
    }
    const { link, busy } = this.#connections.get(step["on"] as string)!;
    return session.handleInput(link, this.#inputOf(step, { link, busy }), this.#now);
  }

  #inputOf(step: StepInput, { link, busy }: Connection): Input {
    const lines = (frames: unknown): string => (frames as Json[]).map((frame) => asLine(frame) + "\n").join("");
    const done = <Kind extends "open" | "post" | "poll">(request: Kind): Kind => {
      busy.delete(request);
      return request;
    };
    if ("receive" in step) {
      const frame = step["receive"]!;
      const { type, number, ack, data } = frame as unknown as BytesFrame;
      if (type !== "bytes" || link.transport !== "websocket") return { type: "frame", frame: asLine(frame) };
      return { type: "frame", frame: asBuffer(encodeBinary(number, ack, fromBase64(data))) };
    }
    if ("polled" in step)
      return {
        type: "answer",
        request: done(busy.has("poll") ? "poll" : "open"),
        status: 200,
        text: lines(step["polled"]),
      };
    if ("answered" in step)
      return { type: "answer", request: done("post"), status: 200, text: lines(step["answered"]) };
    const of = done(busy.has("post") ? "post" : busy.has("poll") ? "poll" : "open");
    if ("refused" in step) return { type: "answer", request: of, status: 400, text: asLine(step["refused"]!) };
    assert.ok("unanswered" in step || "failed" in step, `an unknown step: ${JSON.stringify(step)}`);
    return { type: "answer", request: of, status: (step["failed"] as number | undefined) ?? 0, text: "" };
  }

  /** Returns everything that a step caused, in the notation of vectors. */
  #outcome(events: readonly SessionEvent<string>[]): { [key: string]: Json } {
    const dropped = events.filter((event) => event.type === "dropped");
    const ended = dropped.map(({ link }) => this.#nameOf(link));
    const described = events.flatMap((event) => this.#describe(event));
    const written: { [key: string]: { [connection: string]: Json } } = {};
    const write = (name: string, outputs: readonly Output[]): void => {
      for (const { request: type = "frames", frames: wires } of outputs) {
        const key = type === "post" ? "posts" : type === "poll" ? "polls" : "writes";
        const frames = wires.map(readWire);
        this.#connections.get(name)!.busy.add(type);
        (written[key] ??= {})[name] = key === "polls" ? frames[0]! : frames;
      }
    };
    dropped.forEach(({ outputs = [] }, index) => write(ended[index]!, outputs));
    for (const name of ended) this.#connections.delete(name);
    for (const [name, { link }] of this.#connections) write(name, this.#session.transmit(link, this.#now));
    return { ...written, ...(described.length && { events: described }), ...(ended.length && { ended }) } as {
      [key: string]: Json;
    };
  }

  #describe(event: SessionEvent<string>): Json[] {
    switch (event.type) {
      case "opened":
        return [{ opened: event.resumed ? "resumed" : "new", on: this.#nameOf(event.link) }];
      case "message": {
        const { data, recovered } = event.message;
        return [{ message: data instanceof Uint8Array ? { $bytes: toBase64(data) } : (data as Json), recovered }];
      }
      case "settled":
        return [{ settled: event.tag }];
      case "rejected":
        return [{ rejected: event.tag, fate: "not_handled", code: event.code }];
      case "reset": {
        const { reason, lost, handled = null, dropped } = event.loss;
        return [{ reset: { reason, lost, handled, ...(dropped && { dropped }) } }, ...fates(event.sends)];
      }
      case "renewal":
        return [{ renew: event.within }];
      case "closed": {
        const { code, reason, by } = event.closing;
        return [{ closed: { code, reason, by } }, ...fates(event.sends)];
      }
      case "dropped":
        if (event.reason === "drain") return [{ drain: event.retryIn }];
        return event.reason === "reset" && event.retryIn ? [{ reopen: event.retryIn }] : [];
    }
  }

  #nameOf(link: Link): string {
    for (const [name, connection] of this.#connections) if (connection.link === link) return name;
    throw new Error("a link of no connection");
  }
}

const fates = (sends: readonly SendFate<string>[]): Json[] =>
  sends.map(({ tag, fate }) => (fate === "handled" ? { settled: tag } : { rejected: tag, fate }));

/** The page has no event for that: its channel is closed with 4409. */
const withoutSuperseded = (expect: Step["expect"]): Step["expect"] =>
  Array.isArray(expect["events"])
    ? { ...expect, events: (expect["events"] as Json[]).filter((event) => !("superseded" in (event as object))) }
    : expect;

/** Returns a frame of a step as text; `{"text": "..."}` stands for that text. */
const asLine = (frame: Json): string => {
  const { text, type } = frame as { text?: string; type?: string };
  return text !== undefined && type === undefined ? text : JSON.stringify(frame);
};
