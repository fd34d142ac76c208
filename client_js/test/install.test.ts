// `install`: which WebSockets it replaces, and what code that cannot be changed sees of them.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Channel } from "../src/channel.ts";
import { FallbackWebSocket } from "../src/fallback_websocket.ts";
import { install } from "../src/install.ts";

/** Stands for the platform's class: its members work on its own objects only. */
class Native extends EventTarget {
  static readonly OPEN = 1;
  readonly #url: string;
  #type = "blob";
  readonly words: unknown[];

  constructor(...words: unknown[]) {
    super();
    this.words = words;
    this.#url = String(words[0]);
    made.push(this);
  }

  get url(): string {
    return this.#url;
  }

  get readyState(): number {
    return this.#url ? 0 : 3;
  }

  get binaryType(): string {
    return this.#type;
  }

  set binaryType(value: string) {
    this.#type = value;
  }

  send(message: unknown): string {
    return `${this.#url} ${message}`;
  }

  close(): void {
    this.#url satisfies string;
  }
}

Object.assign(Native.prototype, { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 });

const made: Native[] = [];
const sockets: WebSocket[] = [];
const platform = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
let uninstall = (): void => {};

/** Makes a socket that is closed after the test. */
function dial(...words: ConstructorParameters<typeof WebSocket>): WebSocket {
  const socket = new WebSocket(...words);
  sockets.push(socket);
  return socket;
}

/** Ends a channel at once: a close would wait for the server. */
function abandon(channel: Channel | undefined): void {
  if (channel && channel.state !== "closed") channel._driver.abandon(1001, "the test is over");
}

const isReplaced = (url: string | URL): boolean => "channel" in dial(url);

beforeEach(() => Object.defineProperty(globalThis, "WebSocket", { value: Native, writable: true, configurable: true }));

afterEach(() => {
  uninstall();
  for (const socket of sockets.splice(0)) abandon((socket as Partial<FallbackWebSocket>).channel);
  made.length = 0;
  if (platform) Object.defineProperty(globalThis, "WebSocket", platform);
  else delete (globalThis as { WebSocket?: unknown }).WebSocket;
});

describe("a pattern", () => {
  test("that is a URL matches itself and what is below its path", () => {
    uninstall = install("https://example.com/ws/");
    for (const url of ["wss://example.com/ws", "https://example.com/ws/rooms/7?x=/", new URL("wss://example.com:443/ws/")])
      assert.ok(isReplaced(url), String(url));
    for (const url of ["ws://example.com/ws", "wss://example.com/wsx", "wss://example.org/ws", "wss://example.com/"])
      assert.ok(!isReplaced(url), url);
  });

  test("that is a regular expression is searched in the absolute URL, each time from its start", () => {
    uninstall = install(/\/ws\b/g);
    for (let time = 0; time < 3; time++) assert.ok(isReplaced("https://example.com/ws/rooms"));
    assert.ok(!isReplaced("wss://example.com/other"));
  });

  test("that is a function is given the absolute URL", () => {
    const urls: unknown[] = [];
    uninstall = install((url) => urls.push(url.href) > 1);
    assert.deepEqual([isReplaced("http://example.com"), isReplaced("ws://example.com")], [false, true]);
    assert.deepEqual(urls, ["ws://example.com/", "ws://example.com/"]);
  });

  test("of another kind is refused", () => {
    for (const pattern of ["/relative", "ftp://example.com", undefined, 7])
      assert.throws(() => install(pattern as string), TypeError);
    assert.equal(WebSocket, Native as unknown);
  });
});

describe("code that uses WebSocket", () => {
  test("makes those of the platform for other URLs, as it did before", () => {
    uninstall = install("ws://example.com/ws");
    const socket = dial("ws://example.com/other", ["a"]);
    assert.deepEqual(made[0]!.words, ["ws://example.com/other", ["a"]]);
    assert.ok(socket instanceof WebSocket && socket instanceof Native);
    assert.equal(socket.constructor, WebSocket);
    assert.deepEqual([socket.url, socket.readyState, socket.OPEN], ["ws://example.com/other", 0, 1]);
    assert.equal(socket.send("x") as unknown, "ws://example.com/other x");
    socket.binaryType = "arraybuffer";
    assert.equal(socket.binaryType, "arraybuffer");
    for (const bad of ["http://[", "/relative"]) dial(bad);
    assert.equal(made.length, 3);
  });

  test("makes a socket on a channel for a URL that matches, with the options", () => {
    uninstall = install("ws://example.com/ws", { transports: ["longpoll"] });
    const socket = dial("ws://example.com/ws/x", "a") as FallbackWebSocket;
    assert.ok(socket instanceof WebSocket);
    assert.equal(socket.constructor, WebSocket);
    assert.deepEqual([socket.url, socket.readyState, socket.CLOSED], ["ws://example.com/ws/x", 0, 3]);
    assert.deepEqual(socket.channel.transports, ["longpoll"]);
    socket.binaryType = "arraybuffer";
    assert.equal(socket.binaryType, "arraybuffer");
    socket.onmessage = ({ data }) => assert.equal(data, "x");
    socket.dispatchEvent(new MessageEvent("message", { data: "x" }));
    assert.throws(() => socket.send("x"), { name: "InvalidStateError" });
    assert.equal(made.length, 0);
  });

  test("sees the name and the constants of the class", () => {
    uninstall = install("ws://example.com/ws");
    assert.deepEqual([WebSocket.name, WebSocket.length, WebSocket.CONNECTING, WebSocket.OPEN], ["WebSocket", 1, 0, 1]);
    assert.equal(WebSocket.prototype.CLOSING, 2);
    assert.throws(() => (WebSocket as unknown as (url: string) => void)("ws://example.com"), TypeError);
  });

  test("can extend the class, for both kinds", () => {
    uninstall = install("ws://example.com/ws");
    class Mine extends WebSocket {
      sent: unknown[] = [];

      override send(message: string): void {
        this.sent.push(message);
        super.send(message);
      }

      get host(): string {
        return new URL(super.url).host;
      }
    }
    const [other, ours] = [new Mine("ws://example.org/"), new Mine("ws://example.com/ws")];
    sockets.push(ours);
    other.send("x");
    assert.throws(() => ours.send("y"), { name: "InvalidStateError" });
    assert.deepEqual([other.sent, ours.sent, other.host, ours.host], [["x"], ["y"], "example.org", "example.com"]);
    assert.ok([other, ours].every((socket) => socket instanceof Mine && socket instanceof WebSocket));
  });

  test("can replace a method of the prototype, for both kinds", () => {
    uninstall = install("ws://example.com/ws");
    const sent: unknown[] = [];
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (message) {
      sent.push(message);
      return send.call(this, message);
    };
    assert.equal(dial("ws://example.org/").send("x") as unknown, "ws://example.org/ x");
    assert.throws(() => dial("ws://example.com/ws").send("y"), { name: "InvalidStateError" });
    assert.deepEqual(sent, ["x", "y"]);
  });
});

describe("the client", () => {
  test("uses the platform's WebSocket, also for URLs that match and if installed twice", async () => {
    const first = install(/./);
    uninstall = install(/\/ws/);
    dial("ws://example.com/ws");
    const channel = new Channel("http://example.com/chat", { transports: ["websocket"] });
    while (made.length < 2) await new Promise(setImmediate);
    assert.deepEqual(
      made.map((one) => [one.constructor, one.url]),
      ["ws", "chat"].map((name) => [Native, `ws://example.com/${name}/websocket`]),
    );
    abandon(channel);
    uninstall();
    first();
    assert.equal(WebSocket, Native as unknown);
  });

  test("makes one socket behind a function that a script has put before the class", async () => {
    uninstall = install("ws://example.com/ws");
    const Installed = WebSocket;
    const urls: string[] = [];
    const wrapper = function (url: string, protocols?: string[]): WebSocket {
      urls.push(url);
      return new Installed(url, protocols);
    };
    globalThis.WebSocket = wrapper as unknown as typeof WebSocket;
    dial("ws://example.com/ws/x?y=/");
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    assert.deepEqual(urls, ["ws://example.com/ws/x?y=/", "ws://example.com/ws/x/websocket?y=/"]);
    assert.deepEqual(made.map(({ url }) => url), urls.slice(1));
    globalThis.WebSocket = Installed;
  });

  test("has no transport for WebSocket if the platform has none", () => {
    Object.defineProperty(globalThis, "WebSocket", { value: undefined, writable: true, configurable: true });
    uninstall = install("ws://example.com/ws");
    const socket = dial("ws://example.com/ws") as FallbackWebSocket;
    assert.deepEqual(socket.channel.transports, ["sse", "longpoll"]);
    assert.throws(() => dial("ws://example.com/other"), TypeError);
  });
});
