// A world for the driver: a clock that the test turns, sockets and requests that the test answers.
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

  /** The handshake is done. */
  open(): void {
    this.readyState = 1;
    this.onopen?.();
  }

  /** A frame of the server. */
  hear(frame: unknown): void {
    this.onmessage?.({ data: frame instanceof ArrayBuffer ? frame : JSON.stringify(frame) });
  }

  /** The connection ends. */
  end(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }

  /** What was sent since the last call. */
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

  /** The lines of its body. */
  get lines(): unknown[] {
    return String(this.init.body)
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
  }

  respond(status: number, body: string | readonly unknown[] = "", type = "application/x-ndjson", headers: object = {}): void {
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
  /** What the clock on the wall says, for now 0. */
  epoch = 1.7e9;
  random = 0.5;
  /** What was opened and not looked at yet. */
  readonly sockets: FakeSocket[] = [];
  readonly requests: FakeRequest[] = [];
  /** The plain GETs. */
  readonly gets: FakeRequest[] = [];
  #timers = new Set<Timer>();
  /** How many were set. */
  timers = 0;
  #minted = 0;

  readonly environment: Environment = {
    performance: { now: () => this.now * 1000 },
    setTimeout: (act: () => void, milliseconds: number) => {
      const timer = { at: this.now + milliseconds / 1000, act };
      this.#timers.add(timer);
      this.timers++;
      return timer;
    },
    clearTimeout: (timer: Timer) => void this.#timers.delete(timer),
    Date: { now: () => this.wall * 1000 },
    localStorage: this.storage(),
    Math: { random: () => this.random },
    crypto: { getRandomValues: (bytes: Uint8Array) => bytes.fill(++this.#minted) },
    fetch: (url: string, init: RequestInit) => {
      const request = new FakeRequest(url, init);
      (init.method === "POST" ? this.requests : this.gets).push(request);
      return request.answer;
    },
    WebSocket: this.#webSocket(),
  } as unknown as Environment;

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

  /** A channel in this world, and all its events in order. */
  channel(options: ChannelOptions = {}, url = "http://localhost/chat"): { channel: Channel; events: unknown[][] } {
    const channel = new Channel(url, options, this.environment);
    const events: unknown[][] = [];
    const keep = (type: string, ...fields: string[]): void =>
      channel.addEventListener(type, (event) =>
        events.push([type, ...fields.map((field) => (event as unknown as { [key: string]: unknown })[field])]),
      );
    keep("open");
    keep("transport", "transport");
    keep("recovering", "reason");
    keep("resumed", "replayed");
    keep("reset", "reason", "lost", "sends");
    keep("close", "code", "reason", "by", "wasClean");
    return { channel, events };
  }

  /** Lets everything happen that needs no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Turns the clock, timer by timer. */
  async pass(seconds: number): Promise<void> {
    const end = this.now + seconds;
    for (;;) {
      await this.settle();
      const [next] = [...this.#timers].sort((one, other) => one.at - other.at);
      if (!next || next.at > end) break;
      this.#timers.delete(next);
      this.now = Math.max(this.now, next.at);
      next.act();
    }
    this.now = end;
    await this.settle();
  }

  /** The one socket that was opened since the last call. */
  async socket(): Promise<FakeSocket> {
    await this.settle();
    if (this.sockets.length !== 1) throw new Error(`${this.sockets.length} sockets were opened`);
    return this.sockets.shift()!;
  }

  /** The oldest request to this segment that was not looked at. */
  async request(segment: string): Promise<FakeRequest> {
    await this.settle();
    const index = this.requests.findIndex(({ url }) => new URL(url).pathname.endsWith("/" + segment));
    if (index < 0) throw new Error(`no request to ${segment}, but to ${this.requests.map(({ url }) => url)}`);
    return this.requests.splice(index, 1)[0]!;
  }

  /** Opens the next attach over WebSocket; answers its socket, with nothing to take. */
  async openSocket(fields: object = {}): Promise<FakeSocket> {
    const socket = await this.socket();
    socket.open();
    socket.hear(opened(socket.take()[0], fields));
    await this.settle();
    socket.take();
    return socket;
  }
}

/** The `opened` that answers an `open`. */
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
