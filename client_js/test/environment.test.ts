// What a channel needs of the place in which it is created: an address to connect to, and some globals.
import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveUrl } from "../src/environment.ts";
import type { Environment } from "../src/environment.ts";
import { Channel, ChannelError } from "../src/index.ts";
import { outcomes } from "./observe.ts";
import { World } from "./world.ts";

/** Returns the address of `url` in a page at `page`, in a worker at `script`, or on a server. */
function resolve(url: string, { page, script }: { page?: string; script?: string } = {}): string {
  const place = {
    ...(page && { document: { baseURI: page } }),
    ...(script && { location: { href: script } }),
  };
  return resolveUrl(place as unknown as Environment, url);
}

const BLOB = "blob:https://example.com/0d1c";

test("a URL is relative to the page, in a worker to its script", () => {
  assert.equal(resolve("/chat", { page: "https://example.com/a/b" }), "https://example.com/chat");
  assert.equal(resolve("chat?lang=de#x", { script: "https://example.com/a/b.js" }), "https://example.com/a/chat?lang=de");
  assert.equal(resolve("wss://example.com/chat"), "https://example.com/chat");
  assert.equal(resolve("ws://example.com/chat", { script: BLOB }), "http://example.com/chat");
});

for (const [title, url, place] of [
  ["in a blob worker", "/chat", { script: BLOB }],
  ["in a page without an address", "/chat", { page: "about:blank" }],
  ["on a server", "/chat", {}],
  ["of a local page", "/chat", { page: "file:///tmp/index.html" }],
  ["of another scheme", "ftp://example.com/chat", {}],
  ["that is malformed", "http://", { page: "https://example.com" }],
] as const)
  test(`a URL ${title} is refused with the reason and the remedy`, () => {
    assert.throws(
      () => resolve(url, place),
      (error: ChannelError) => {
        assert.ok(error instanceof ChannelError);
        assert.equal(error.code, "invalid_argument");
        for (const part of [url, "http", "absolute URL", ...Object.values(place)])
          assert.ok(error.message.includes(part), `${part} is not in: ${error.message}`);
        return true;
      },
    );
  });

for (const name of ["fetch", "TextEncoder", "crypto"])
  test(`a channel without the global ${name} is refused by its name`, () => {
    const present = Object.getOwnPropertyDescriptor(globalThis, name)!;
    delete (globalThis as Record<string, unknown>)[name];
    try {
      assert.throws(
        () => new Channel("http://example.com/chat"),
        (error: ChannelError) => {
          assert.equal(error.code, "unsupported");
          assert.match(error.message, new RegExp(`\\b${name}\\b.*docs/browser\\.md`));
          return true;
        },
      );
    } finally {
      Object.defineProperty(globalThis, name, present);
    }
  });

test("a channel without the global WebSocket uses what is left, and asks for nothing more", async () => {
  const world = new World();
  delete (world.environment as Partial<Environment>).WebSocket;
  const { channel } = world.channel();
  assert.deepEqual(channel.transports, ["sse", "longpoll"]);
  await world.openStream();
  // Long enough for a probe of a better transport.
  await world.pass(17);
  assert.deepEqual([outcomes(channel), world.gets, world.requests], [["sse open"], [], []]);
  channel.transports = ["websocket", "longpoll"];
  assert.deepEqual(channel.transports, ["longpoll"]);
});

test("a channel that may use nothing but the missing WebSocket is refused", () => {
  const world = new World();
  const { channel } = world.channel();
  delete (world.environment as Partial<Environment>).WebSocket;
  const isRefusal = (error: ChannelError): boolean =>
    error.code === "unsupported" && /\bWebSocket\b.*docs\/browser\.md/.test(error.message);
  assert.throws(() => world.channel({ transports: ["websocket"] }), isRefusal);
  assert.throws(() => (channel.transports = ["websocket"]), isRefusal);
  assert.deepEqual(channel.transports, ["websocket", "sse", "longpoll"]);
});

for (const [browser, WebSocket, reason] of [
  ["Chromium", class { readyState = 3 }, "blocked by the page's Content-Security-Policy"],
  ["another browser", class { constructor() { throw new Error("blocked"); } }, "Error: blocked"],
] as const)
  test(`a WebSocket that ${browser} blocks is replaced immediately, and the server is not asked why`, async () => {
    const world = new World();
    Object.assign(world.environment, { WebSocket });
    const { channel } = world.channel();
    await world.openStream();
    // Long enough for the retry budget.
    await world.pass(3);
    assert.deepEqual(outcomes(channel), ["websocket failed " + reason, "sse open"]);
    assert.deepEqual(world.gets, []);
  });

test("the attempts are listed without structuredClone, which jsdom lacks", () => {
  const { structuredClone } = globalThis;
  delete (globalThis as { structuredClone?: unknown }).structuredClone;
  try {
    const channel = new Channel("http://127.0.0.1:9/chat");
    assert.deepEqual(channel.explain(), []);
    void channel.close();
  } finally {
    globalThis.structuredClone = structuredClone;
  }
});
