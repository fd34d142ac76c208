// What gets the messages of a channel: listeners, iterators, or those that come later.
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import { Inbox } from "../src/inbox.ts";

const message = (data: unknown): { data: unknown; recovered: boolean } => ({ data, recovered: false });

/** An inbox, and what its listeners got. `onMessage` is called for each message. */
function inboxWith(onMessage: (data: unknown) => void = () => {}): { inbox: Inbox; seen: unknown[] } {
  const seen: unknown[] = [];
  const inbox = new Inbox(({ data }) => {
    inbox.forgetOnce();
    seen.push(data);
    onMessage(data);
  });
  return { inbox, seen };
}

const put = (inbox: Inbox, ...messages: unknown[]): void => messages.forEach((data) => inbox.put(message(data), 10));

/** Returns what a new iterator takes at once. */
async function takeAll(inbox: Inbox): Promise<unknown[]> {
  const taken: unknown[] = [];
  inbox.close();
  for await (const data of inbox.iterate()) taken.push(data);
  return taken;
}

const onMessage = (): void => {};

describe("listeners", () => {
  test("get what waits after the turn that adds the first of them", async () => {
    const { inbox, seen } = inboxWith();
    put(inbox, "a");
    inbox.addListener(onMessage);
    assert.deepEqual([seen, inbox.size, inbox.bytes], [[], 1, 10]);
    await Promise.resolve();
    put(inbox, "b");
    assert.deepEqual([seen, inbox.size, inbox.bytes], [["a", "b"], 0, 0]);
  });

  test("that are null or gone before the turn ends get nothing", async () => {
    const { inbox, seen } = inboxWith();
    const controller = new AbortController();
    inbox.addListener(null);
    inbox.addListener(onMessage, { signal: AbortSignal.abort() });
    inbox.addListener(onMessage, { signal: controller.signal });
    inbox.addListener(onMessage);
    inbox.removeListener(onMessage);
    controller.abort();
    put(inbox, "a");
    await Promise.resolve();
    assert.deepEqual([seen, await takeAll(inbox)], [[], ["a"]]);
  });

  test("that were removed leave nothing at their signal", () => {
    const { inbox } = inboxWith();
    const { signal } = new AbortController();
    for (const once of [false, true]) {
      inbox.addListener(onMessage, { signal, once });
      if (once) inbox.forgetOnce();
      else inbox.removeListener(onMessage);
    }
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });

  test("that listen once get one message each", async () => {
    const { inbox, seen } = inboxWith();
    inbox.addListener(onMessage, { once: true });
    // The same listener again changes nothing, as for any event target.
    inbox.addListener(onMessage);
    put(inbox, "a", "b", "c");
    assert.deepEqual([seen, inbox.size], [["a"], 2]);
    inbox.addListener(onMessage, { once: true });
    await Promise.resolve();
    assert.deepEqual([seen, await takeAll(inbox)], [["a", "b"], ["c"]]);
  });

  test("that listen once and add themselves again get all messages", () => {
    const { inbox, seen } = inboxWith(() => inbox.addListener(onMessage, { once: true }));
    inbox.addListener(onMessage, { once: true });
    put(inbox, "a", "b", "c");
    assert.deepEqual(seen, ["a", "b", "c"]);
  });

  test("that were added again outlive the signal of the first time", () => {
    const { inbox, seen } = inboxWith();
    const controller = new AbortController();
    inbox.addListener(onMessage, { signal: controller.signal });
    inbox.removeListener(onMessage);
    inbox.addListener(onMessage);
    controller.abort();
    put(inbox, "a");
    assert.deepEqual(seen, ["a"]);
  });

  test("are told apart by capture, as by an event target", async () => {
    const { inbox, seen } = inboxWith();
    inbox.addListener(onMessage, true);
    inbox.addListener(onMessage, { capture: false });
    inbox.removeListener(onMessage);
    inbox.removeListener(onMessage, { capture: false });
    put(inbox, "a");
    inbox.removeListener(onMessage, { capture: true });
    put(inbox, "b");
    assert.deepEqual([seen, await takeAll(inbox)], [["a"], ["b"]]);
  });

  test("leave the rest of a backlog when the last of them is removed", async () => {
    const { inbox, seen } = inboxWith((data) => data === "b" && inbox.removeListener(onMessage));
    put(inbox, "a", "b", "c", "d");
    inbox.addListener(onMessage);
    await Promise.resolve();
    assert.deepEqual([seen, inbox.size], [["a", "b"], 2]);
    assert.deepEqual(await takeAll(inbox), ["c", "d"]);
  });

  test("get what waits, although an iterator asks before the turn ends", async () => {
    const { inbox, seen } = inboxWith();
    put(inbox, "a");
    inbox.addListener(onMessage);
    const next = inbox.iterate().next();
    await Promise.resolve();
    assert.deepEqual(seen, ["a"]);
    inbox.close();
    assert.deepEqual(await next, { done: true, value: undefined });
  });

  test("get messages in place of iterators that wait", async () => {
    const { inbox, seen } = inboxWith();
    const next = inbox.iterate().next();
    inbox.addListener(onMessage);
    put(inbox, "a");
    inbox.removeListener(onMessage);
    put(inbox, "b");
    assert.deepEqual([await next, seen], [{ done: false, value: "b" }, ["a"]]);
  });
});

describe("iterators", () => {
  test("share the messages, and all end", async () => {
    const { inbox } = inboxWith(() => assert.fail("there is no listener"));
    const read = async (): Promise<unknown[]> => {
      const taken: unknown[] = [];
      for await (const data of inbox.iterate()) taken.push(data);
      return taken;
    };
    const both = Promise.all([read(), read()]);
    put(inbox, "a", "b", "c");
    inbox.close();
    assert.deepEqual((await both).flat().sort(), ["a", "b", "c"]);
  });

  test("answer calls that overlap in order", async () => {
    const { inbox } = inboxWith();
    const iterator = inbox.iterate();
    const results = Promise.all([iterator.next(), iterator.next(), iterator.next()]);
    put(inbox, "a", "b");
    inbox.close();
    assert.deepEqual(await results, [
      { done: false, value: "a" },
      { done: false, value: "b" },
      { done: true, value: undefined },
    ]);
  });

  test("that were stopped stay stopped, and the others go on", async () => {
    const { inbox } = inboxWith();
    const [one, other] = [inbox.iterate(), inbox.iterate()];
    const stopped = [one.next(), one.next()];
    const waiting = other.next();
    const end = { done: true, value: undefined };
    assert.deepEqual(await one.return!(), end);
    assert.deepEqual(await Promise.all(stopped), [end, end]);
    put(inbox, "a");
    assert.deepEqual([await waiting, await one.next(), inbox.size], [{ done: false, value: "a" }, end, 0]);
  });

  test("take a long backlog to its end", async () => {
    const { inbox } = inboxWith();
    for (let index = 0; index < 1e5; index++) put(inbox, index);
    const taken = await takeAll(inbox);
    assert.deepEqual([taken.length, taken.at(-1), inbox.size, inbox.bytes], [1e5, 99999, 0, 0]);
  });
});
