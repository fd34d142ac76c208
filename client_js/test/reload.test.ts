// A session that outlives a reload of its page.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Channel } from "../src/channel.ts";
import { acrossReloads } from "../src/reload.ts";
import { Locks } from "./locks.ts";
import { watch } from "./observe.ts";
import { LIMITS, World, opened } from "./world.ts";

/** A tab, with the storage that it keeps from page to page. */
class Tab {
  readonly kept: Map<string, string>;
  readonly locks: Locks;

  constructor(kept = new Map<string, string>(), locks = new Locks()) {
    this.kept = kept;
    this.locks = locks;
  }

  /** Returns its next page, and a function that unloads it. */
  async page(
    world = new World(),
  ): Promise<{ world: World; channel: Channel; events: string[]; hide: () => Promise<void> }> {
    const window = new EventTarget();
    let unload = (): void => {};
    const ends = new Promise<void>((resolve) => (unload = resolve));
    const { locks } = this;
    // The locks of a page are released with it.
    const request: Locks["request"] = (name, how, callback) =>
      locks.request(name, how, (lock) => lock && Promise.race([ends, callback(lock)]));
    Object.assign(world.environment, {
      addEventListener: window.addEventListener.bind(window),
      sessionStorage: world.storage(this.kept),
      navigator: { locks: { request } },
    });
    const channel = await acrossReloads(
      Channel,
      "http://localhost/chat",
      { transports: ["websocket"] },
      world.environment,
    );
    const events: string[] = [];
    for (const type of ["open", "resumed", "reset"]) channel.addEventListener(type, () => events.push(type));
    const hide = async (): Promise<void> => {
      window.dispatchEvent(Object.assign(new Event("pagehide"), { persisted: false }));
      unload();
      await world.settle();
    };
    return { world, channel, events, hide };
  }
}

describe("a reloaded page", () => {
  test("restores marks, numbers and unacknowledged messages", async () => {
    const tab = new Tab();
    const old = await tab.page();
    const socket = await old.world.openSocket();
    socket.receive([1, 0, "seen", "too"]);
    void old.channel.send("settled");
    void old.channel.send({ a: 1 });
    void old.channel.send(new Uint8Array([1, 2, 255]));
    void old.channel.send(new Uint8Array());
    await old.world.settle();
    socket.receive({ type: "ack", ack: 1 });
    await old.world.settle();
    socket.take();
    await old.hide();
    // The next page may continue the session (LIV-6).
    const { lines } = await old.world.request("send");
    assert.ok(![...socket.take(), ...lines].some((frame) => (frame as { type?: string }).type === "leave"));

    const { world, channel, events } = await tab.page();
    const next = await world.socket();
    next.open();
    const [open] = next.take() as [{ [field: string]: unknown }];
    assert.deepEqual(
      [open.session, open.epoch, open.attach, open.received, open.first_retained, open.client],
      ["token-1", "e1", 2, 2, 2, old.channel._driver.session.client],
    );
    next.receive(opened(open, { received: 2, handled: 1, sent: 3 }));
    await world.settle();
    const bytes = (number: number, ...values: number[]): Uint8Array =>
      new Uint8Array([0, 0, 0, 0, 0, 0, 0, number, 0, 0, 0, 0, 0, 0, 0, 2, ...values]);
    assert.deepEqual(next.take(), [{ type: "ack", ack: 2 }, bytes(3, 1, 2, 255), bytes(4)]);
    next.receive([3, 4, "missed"]);
    const { value } = await channel[Symbol.asyncIterator]().next();
    assert.equal(value, "missed");
    assert.deepEqual([events, channel.id, channel.statistics().replayed], [["resumed"], "a7", 1]);
    assert.equal(channel._driver.session.outbox.buffer.entries.length, 0);
    assert.equal(channel._driver.session.outbox.buffer.bytes, 0);
  });

  test("resends what the server did not receive, and sends unnumbered messages", async () => {
    const tab = new Tab();
    const old = await tab.page();
    const socket = await old.world.openSocket({
      limits: { message: 262144, body: 350550, batch: 1000, depth: 64, window_messages: 2, window_bytes: 1e6 },
    });
    for (const message of ["a", "b", "c"]) void old.channel.send(message);
    await old.world.settle();
    assert.deepEqual(socket.take(), [[1, 0, "a", "b"]]);
    await old.hide();
    const { world, channel } = await tab.page();
    const next = await world.socket();
    next.open();
    next.receive(opened(next.take()[0]));
    void channel.send("d");
    await world.settle();
    assert.deepEqual(next.take(), [{ type: "ack", ack: 0 }, [1, 0, "a", "b", "c", "d"]]);
  });

  test("gets reset if the session has ended in the meantime", async () => {
    const tab = new Tab();
    const old = await tab.page();
    await old.world.openSocket();
    await old.hide();
    const { world, channel, events } = await tab.page();
    await world.openSocket({
      verdict: "reset",
      id: "b8",
      session: "token-new",
      reset: { reason: "expired", lost: null, handled: null, in_hand: null },
    });
    assert.deepEqual([events, channel.id], [["reset", "open"], "b8"]);
  });

  for (const [what, prepare] of [
    ["that was closed", (page: { channel: Channel }) => void page.channel.close()],
    ["that was never open", () => {}],
  ] as const)
    test(`starts a new session after one ${what}`, async () => {
      const tab = new Tab();
      const old = await tab.page();
      if (what === "that was closed") await old.world.openSocket();
      prepare(old);
      await old.hide();
      assert.equal(tab.kept.size, 0);
    });
});

describe("a page that has given its session away", () => {
  test("starts a new one if the browser shows it again", async () => {
    const tab = new Tab();
    const old = await tab.page();
    await old.world.openSocket();
    await old.hide();
    const { world } = await tab.page();
    (await world.socket()).open();
    old.channel.reconnect();
    const socket = await old.world.socket();
    socket.open();
    const [open] = socket.take() as [{ session?: string; received: number }];
    assert.deepEqual([open.session, open.received], [undefined, 0]);
    socket.receive(opened(open, { id: "c9" }));
    await old.world.settle();
    assert.deepEqual(old.events, ["open", "reset", "open"]);
  });

  test("hands it to the next, even if that is reloaded while it waits", async () => {
    const tab = new Tab();
    const old = await tab.page();
    await old.world.openSocket();
    const [name] = [...tab.locks.held.keys()];
    await old.hide();
    let unload = (): void => {};
    void tab.locks.request(name!, {}, () => new Promise<void>((resolve) => (unload = resolve)));
    const waiting = tab.page();
    await new Promise(setImmediate);
    assert.equal(tab.kept.size, 1);
    unload();
    assert.equal((await waiting).channel.id, "a7");
    assert.equal(tab.kept.size, 0);
  });
});

describe("the sends of a page that has given its session away", () => {
  test("have an unknown fate, whether they had a number or not", async () => {
    const tab = new Tab();
    const old = await tab.page();
    const socket = await old.world.openSocket({ limits: { ...LIMITS, window_messages: 2 } });
    const sends = ["settled", "written", "also written", "waits", "waits too"].map((message) =>
      watch(old.channel.send(message)),
    );
    const resets: unknown[] = [];
    old.channel.addEventListener("reset", ({ reason, lost, sends }) => resets.push([reason, lost, sends]));
    await old.world.settle();
    socket.receive({ type: "ack", ack: 1 });
    await old.hide();
    const late = watch(old.channel.send("of the session that may follow"));
    await old.world.pass(1);
    assert.deepEqual(
      sends.map(({ outcome }) => outcome),
      ["handled", ...Array<string>(4).fill("reset: unknown")],
    );
    assert.equal(late.outcome, "pending");
    const fates = ["written", "also written", "waits", "waits too"].map((message) => ({ message, fate: "unknown" }));
    assert.deepEqual(resets, [["foreign", null, fates]]);
    // The next page sends them all.
    const { world } = await tab.page();
    const next = await world.socket();
    next.open();
    next.receive(opened(next.take()[0], { received: 2, handled: 1 }));
    await world.settle();
    assert.deepEqual(next.take(), [{ type: "ack", ack: 0 }, [3, 0, "also written", "waits", "waits too"]]);
  });
});

describe("a snapshot that this client did not write", () => {
  /** Returns what a page of `tab` that opens next sends as its `open`, once its session is `saved`. */
  async function openAfter(saved: string | undefined): Promise<{ [field: string]: unknown }> {
    const tab = new Tab();
    if (saved !== undefined) tab.kept.set(KEY, saved);
    const { world, channel, events } = await tab.page();
    const socket = await world.socket();
    socket.open();
    const [open] = socket.take() as [{ [field: string]: unknown }];
    socket.receive(opened(open));
    await world.settle();
    void channel.send("next");
    await world.settle();
    assert.equal(channel.state, "open");
    assert.equal(tab.kept.size, 0);
    assert.equal(events.includes("resumed"), open["session"] !== undefined);
    return open;
  }

  const KEY = "onechannel session http://localhost/chat";

  /** Returns the snapshot that a page leaves. */
  async function snapshot(): Promise<{ [field: string]: unknown }> {
    const tab = new Tab();
    const { world, channel, hide } = await tab.page();
    const socket = await world.openSocket();
    socket.receive([1, 0, "x"]);
    for (const message of ["text", { a: "ü" }, new Uint8Array([1])]) void channel.send(message);
    await world.settle();
    await hide();
    assert.deepEqual([...tab.kept.keys()], [KEY]);
    return JSON.parse(tab.kept.get(KEY)!) as { [field: string]: unknown };
  }

  test("is the only kind that is ignored", async () => {
    assert.equal((await openAfter(JSON.stringify(await snapshot())))["session"], "token-1");
    assert.equal((await openAfter(undefined))["session"], undefined);
  });

  test("is ignored, and a new session begins", async () => {
    const good = await snapshot();
    const wrong: { [field: string]: unknown[] } = {
      version: [undefined, 0, 2, "1", null],
      client: [undefined, "", "short", 7, 1234567890123456, null, "x".repeat(65), "with space 0123456789", "ü".repeat(20)],
      token: [undefined, "", 7, null],
      epoch: [undefined, 7, null],
      id: [undefined, 7, null],
      attaches: [undefined, -1, 0, 1.5, "1", null, 2 ** 53],
      confirmed: [undefined, -1, 1.5, 99, "1", null],
      received: [undefined, -1, 0.5, "1", null, 2 ** 53],
      first: [undefined, 0, 1.5, "1", null, 99],
      next: [undefined, 0, 1.5, "1", null, 99],
      entries: [
        ...[undefined, null, {}, "text", []],
        ...[null, 7, "text", [], ["1"], { json: "1", bytes: "" }, { other: "AQ==" }].map((entry) => [entry, {}, {}]),
        ...["{", "1,2", "NaN", '"\\ud800"', "9007199254740993", "", 7, null].map((json) => [{ json }, {}, {}]),
        ...["*", "a", 7, null].map((bytes) => [{ bytes }, {}, {}]),
      ],
    };
    for (const [field, values] of Object.entries(wrong))
      for (const value of values) {
        const text = JSON.stringify({ ...good, [field]: value });
        assert.equal((await openAfter(text))["session"], undefined, text);
      }
    const never = JSON.stringify({ ...good, attaches: 0, confirmed: 0 });
    for (const text of [never, "", "{", "null", "[]", "7", '"text"', "{}", JSON.stringify([good])])
      assert.equal((await openAfter(text))["session"], undefined, text);
  });

  test("is written as this client writes JSON, whatever its white space", async () => {
    const tab = new Tab();
    const entries = [{ json: ' { "a" : [ 1 ] }\n' }, {}, { bytes: "AQI=" }];
    tab.kept.set(KEY, JSON.stringify({ ...(await snapshot()), entries }));
    const { world } = await tab.page();
    const socket = await world.socket();
    socket.open();
    socket.receive(opened(socket.take()[0]));
    await world.settle();
    const [ack, data, skip, bytes] = socket.sent.splice(0);
    const texts = ['{"type":"ack","ack":1}', '[1,1,{"a":[1]}]', '{"type":"skip","number":2,"ack":1}'];
    assert.deepEqual([ack, data, skip], texts);
    assert.deepEqual([...(bytes as Uint8Array).subarray(16)], [1, 2]);
  });

  test("does not break a page whose storage fails", async () => {
    const good = JSON.stringify(await snapshot());
    const fail = (): never => {
      throw new Error("SecurityError");
    };
    for (const broken of [{ getItem: fail }, { removeItem: fail }, { getItem: fail, setItem: fail }]) {
      const world = new World();
      // Its ids must differ from those of the snapshot.
      world.environment.crypto.getRandomValues(new Uint32Array(1));
      const storage = { ...world.storage(new Map([[KEY, good]])), ...broken };
      const navigator = { locks: new Locks() };
      Object.assign(world.environment, { navigator, addEventListener: () => {}, sessionStorage: storage });
      await acrossReloads(Channel, "http://localhost/chat", { transports: ["websocket"] }, world.environment);
      await world.openSocket();
    }
  });
});

describe("another tab", () => {
  test("that is a copy gets a session of its own", async () => {
    const tab = new Tab();
    const old = await tab.page();
    await old.world.openSocket();
    await old.hide();
    const copy = new Tab(new Map(tab.kept), tab.locks);
    const { world } = await tab.page();
    const later = new World();
    // Its ids must differ.
    later.environment.crypto.getRandomValues(new Uint32Array(1));
    const waiting = copy.page(later);
    await later.pass(1.1);
    const other = await waiting;
    const open = async (page: World): Promise<{ session?: string; client: string }> => {
      const socket = await page.socket();
      socket.open();
      return socket.take()[0] as { session?: string; client: string };
    };
    const [one, two] = [await open(world), await open(other.world)];
    assert.deepEqual([one.session, two.session], ["token-1", undefined]);
  });

  test("without locks or storage has a channel like any other", async () => {
    const kept = (text: string): object => ({ sessionStorage: { getItem: () => text } });
    for (const strange of [{ navigator: {} }, { sessionStorage: undefined }, kept("{"), kept("{}"), kept("7")]) {
      const world = new World();
      Object.assign(world.environment, { navigator: { locks: new Locks() }, addEventListener: () => {} }, strange);
      await acrossReloads(Channel, "http://localhost/chat", { transports: ["websocket"] }, world.environment);
      const socket = await world.openSocket();
      assert.equal(socket.readyState, 1);
    }
  });
});

test("a wrong option does not cost the saved session", async () => {
  const tab = new Tab();
  const old = await tab.page();
  await old.world.openSocket();
  await old.hide();
  const { environment } = new World();
  Object.assign(environment, { sessionStorage: old.world.storage(tab.kept) });
  Object.assign(environment, { navigator: { locks: new Locks() } });
  const wrong = { bogus: 1 } as object;
  await assert.rejects(acrossReloads(Channel, "http://localhost/chat", wrong, environment), {
    code: "invalid_argument",
  });
  assert.equal(tab.kept.size, 1);
});
