import assert from "node:assert/strict";
import { test } from "node:test";
import { Inbox } from "../src/inbox.ts";

const message = (data: unknown): { data: unknown; recovered: boolean } => ({ data, recovered: false });

test("messages are dispatched after the turn that adds the first listener", async () => {
  const seen: unknown[] = [];
  const inbox = new Inbox(({ data }) => seen.push(data));
  inbox.put(message("a"));
  inbox.listen();
  assert.deepEqual([seen, inbox.size], [[], 1]);
  await Promise.resolve();
  inbox.put(message("b"));
  assert.deepEqual([seen, inbox.size], [["a", "b"], 0]);
});

test("two iterators share the messages, and both end", async () => {
  const inbox = new Inbox(() => assert.fail("there is no listener"));
  const read = async (): Promise<unknown[]> => {
    const taken: unknown[] = [];
    for await (const data of inbox) taken.push(data);
    return taken;
  };
  const both = Promise.all([read(), read()]);
  for (const data of ["a", "b", "c"]) inbox.put(message(data));
  inbox.close();
  assert.deepEqual((await both).flat().sort(), ["a", "b", "c"]);
});
