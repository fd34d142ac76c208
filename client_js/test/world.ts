// A fake environment for a channel: a clock that the test advances, sockets and requests that it answers.
import { Channel } from "../src/channel.ts";
import type { Environment } from "../src/environment.ts";
import type { ChannelOptions } from "../src/options.ts";
import type { Limits } from "../src/frames.ts";

/** The limits of a server (PROTOCOL.md section 12). */
export const LIMITS: Limits = {
  message: 262144,
  body: 350550,
  batch: 1000,
  depth: 64,
  window_messages: 1000,
  window_bytes: 1048576,
};

type Timer = { at: number; act: () => void };

export class FakeSocket {
  readyState = 0;
  binaryType = "blob";
  readonly sent: (string | Uint8Array)[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: unknown }) => void;
  onclose?: (event: { code: number }) => void;
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  send(wire: string | Uint8Array): void {
    this.sent.push(wire);
  }

  close(): void {
    this.readyState = 3;
  }

  /** The handshake succeeds. */
  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  /** The server sends a frame. */
  receive(frame: unknown): void {
    this.onmessage?.({ data: frame instanceof ArrayBuffer ? frame : JSON.stringify(frame) });
  }

  /** The connection ends. */
  end(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  /** Returns what was sent since the last call. */
  take(): unknown[] {
    return this.sent.splice(0).map((wire) => (typeof wire === "string" ? (JSON.parse(wire) as unknown) : wire));
  }
}

export class FakeRequest {
  readonly url: string;
  readonly init: RequestInit;
  readonly answer: Promise<Response>;
  aborted = false;
  #settle!: (response: Response) => void;
  #reject!: (error: Error) => void;
  #stream: ReadableStreamDefaultController<Uint8Array> | undefined;

  constructor(url: string, init: RequestInit) {
    this.url = url;
    this.init = init;
    this.answer = new Promise((settle, reject) => {
      this.#settle = settle;
      this.#reject = reject;
    });
    init.signal?.addEventListener("abort", () => {
      this.aborted = true;
      this.fail();
      this.#stream?.error(new Error("aborted"));
    });
  }

  /** The lines of its body, decoded. */
  get lines(): unknown[] {
    return String(this.init.body)
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
  }

  respond(
    status: number,
    body: string | readonly unknown[] = "",
    type = "application/x-ndjson",
    headers: object = {},
  ): void {
    const text = typeof body === "string" ? body : body.map((frame) => JSON.stringify(frame) + "\n").join("");
    this.#settle(new Response(text, { status, headers: { "Content-Type": type, ...headers } }));
  }

  /** Begins an event stream. */
  stream(): void {
    const body = new ReadableStream<Uint8Array>({ start: (controller) => void (this.#stream = controller) });
    this.#settle(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
  }

  event(frame: unknown): void {
    this.chunk(new TextEncoder().encode(`data: ${JSON.stringify(frame)}\n\n`));
  }

  chunk(bytes: Uint8Array): void {
    this.#stream!.enqueue(bytes);
  }

  end(): void {
    this.#stream!.close();
  }

  fail(): void {
    this.#reject(new TypeError("failed to fetch"));
  }
}

export class World {
  now = 100;
  /** The wall-clock time at `now` 0. */
  epoch = 1.7e9;
  random = 0.5;
  /** The opened sockets that the test has not looked at yet. */
  readonly sockets: FakeSocket[] = [];
  readonly requests: FakeRequest[] = [];
  /** The plain GETs. */
  readonly gets: FakeRequest[] = [];
  #pendingTimers = new Set<Timer>();
  /** How many timers were set. */
  timersSet = 0;
  #ids = 0;

  readonly environment: Environment = {
    performance: { now: () => this.now * 1000 },
    setTimeout: (act: () => void, milliseconds: number) => {
      const timer = { at: this.now + milliseconds / 1000, act };
      this.#pendingTimers.add(timer);
      this.timersSet++;
      return timer;
    },
    clearTimeout: (timer: Timer) => void this.#pendingTimers.delete(timer),
    Date: { now: () => this.wall * 1000 },
    localStorage: this.storage(),
    Math: { random: () => this.random },
    crypto: { getRandomValues: (bytes: Uint8Array) => bytes.fill(1e9 + ++this.#ids) },
    fetch: (url: string, init: RequestInit) => {
      const request = new FakeRequest(url, init);
      (init.method === "POST" ? this.requests : this.gets).push(request);
      return request.answer;
    },
    WebSocket: this.#webSocket(),
  } as unknown as Environment;

  /** How many timers are set and have not fired. */
  get pendingTimers(): number {
    return this.#pendingTimers.size;
  }

  get wall(): number {
    return this.epoch + this.now;
  }

  storage(entries = new Map<string, string>()): Storage {
    return {
      getItem: (key: string) => entries.get(key) ?? null,
      setItem: (key: string, value: string) => void entries.set(key, value),
      removeItem: (key: string) => void entries.delete(key),
    } as Storage;
  }

  #webSocket(): typeof FakeSocket {
    const { sockets } = this;
    return class extends FakeSocket {
      constructor(url: string) {
        super(url);
        sockets.push(this);
      }
    };
  }

  /** Returns a channel in this world, and all its events in order. */
  channel(options: ChannelOptions = {}, url = "http://localhost/chat"): { channel: Channel; events: unknown[][] } {
    const channel = new Channel(url, options, this.environment);
    const events: unknown[][] = [];
    const record = (type: string, ...fields: string[]): void =>
      channel.addEventListener(type, (event) =>
        events.push([type, ...fields.map((field) => (event as unknown as { [key: string]: unknown })[field])]),
      );
    record("open");
    record("transport", "transport");
    record("recovering", "reason");
    record("resumed", "replayed");
    record("reset", "reason", "lost", "sends");
    record("close", "code", "reason", "by", "wasClean");
    return { channel, events };
  }

  /** Waits until all work that does not need the clock to advance is done. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Advances the clock, timer by timer. */
  async pass(seconds: number): Promise<void> {
    const end = this.now + seconds;
    for (let spins = 0; ;) {
      await this.settle();
      const [next] = [...this.#pendingTimers].sort((one, other) => one.at - other.at);
      if (!next || next.at > end) break;
      this.#pendingTimers.delete(next);
      spins = next.at > this.now ? 0 : spins + 1;
      if (spins > 1000) throw new Error(`timers fire again and again at ${this.now}: ${next.act}`);
      this.now = Math.max(this.now, next.at);
      next.act();
    }
    this.now = end;
    await this.settle();
  }

  /** Returns the one socket that was opened since the last call. */
  async socket(): Promise<FakeSocket> {
    await this.settle();
    if (this.sockets.length !== 1) throw new Error(`${this.sockets.length} sockets were opened`);
    return this.sockets.shift()!;
  }

  /** Returns the oldest request to `segment` that the test has not looked at. */
  async request(segment: string): Promise<FakeRequest> {
    await this.settle();
    const index = this.requests.findIndex(({ url }) => new URL(url).pathname.endsWith("/" + segment));
    if (index < 0) throw new Error(`no request to ${segment}, but to ${this.requests.map(({ url }) => url)}`);
    return this.requests.splice(index, 1)[0]!;
  }

  /** Opens the next attach over WebSocket. Returns its socket, with nothing to take. */
  async openSocket(fields: object = {}): Promise<FakeSocket> {
    const socket = await this.socket();
    socket.open();
    socket.receive(opened(socket.take()[0], fields));
    await this.settle();
    socket.take();
    return socket;
  }

  /** Opens the next attach over a stream, with its second event and the POST that confirms it. Returns the stream. */
  async openStream(fields: object = {}): Promise<FakeRequest> {
    const stream = await this.request("sse");
    stream.stream();
    stream.event(opened(stream.lines[0], fields));
    stream.event({ type: "ack", ack: 0 });
    (await this.request("send")).respond(200, [postAnswer()]);
    await this.settle();
    return stream;
  }
}

/** A world with a page, whose events the test fires. */
export class PageWorld extends World {
  readonly page = Object.assign(new EventTarget(), { baseURI: "http://localhost/", visibilityState: "visible" });
  readonly window = new EventTarget();
  /** `navigator.connection`; its `type` exists on mobile devices only. */
  readonly network: EventTarget & { type?: string } = new EventTarget();

  constructor() {
    super();
    Object.assign(this.environment, {
      addEventListener: this.window.addEventListener.bind(this.window),
      document: this.page,
      navigator: { connection: this.network },
    });
  }

  fire(on: "window" | "document" | "network", type: string, fields: object = {}): void {
    const target = { window: this.window, document: this.page, network: this.network }[on];
    target.dispatchEvent(Object.assign(new Event(type), fields));
  }

  /** The page is shown again. */
  show(): void {
    this.fire("document", "visibilitychange");
  }
}

/** Returns the marks that answer a POST. */
export const postAnswer = (fields: object = {}): object => ({
  type: "ack",
  ack: 0,
  received: 0,
  sent: 0,
  attached: true,
  ...fields,
});

/** Returns the `opened` that answers an `open`. */
export function opened(open: unknown, fields: object = {}): object {
  const { attach, client, session } = open as { attach: number; client: string; session?: string };
  return {
    type: "opened",
    version: 1,
    id: "a7",
    attach,
    client,
    verdict: session ? "resumed" : "new",
    received: 0,
    handled: 0,
    sent: 0,
    epoch: "e1",
    limits: LIMITS,
    timings: { heartbeat: 20, ttl: 120, closing: 30 },
    ...(session ? {} : { session: "token-" + attach }),
    ...fields,
  };
}

/** Fails everything that is started in that many seconds: requests with this status, if any. */
export async function failAll(world: World, seconds: number, status = 0, body = "<html>", type = "text/html"): Promise<void> {
  for (let second = 0; second < seconds; second += 0.1) {
    for (const socket of world.sockets.splice(0)) socket.end(1006);
    for (const request of [...world.requests.splice(0), ...world.gets.splice(0)])
      if (status) request.respond(status, body, type);
      else request.fail();
    await world.pass(0.1);
  }
}
