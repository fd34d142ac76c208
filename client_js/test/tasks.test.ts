// Tasks of the event loop, in each kind of environment.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { queueTask } from "../src/tasks.ts";

// Node.js would run on as long as a port is open.
const { MessageChannel } = globalThis;
const pipes: MessageChannel[] = [];
globalThis.MessageChannel = class extends MessageChannel {
  constructor() {
    super();
    pipes.push(this);
  }
};
after(() => pipes.forEach(({ port1 }) => port1.close()));

/** Removes globals while `act` runs. */
async function without(names: readonly string[], act: () => Promise<void>): Promise<void> {
  const kept = names.map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)!] as const);
  for (const name of names) delete (globalThis as { [name: string]: unknown })[name];
  try {
    await act();
  } finally {
    for (const [name, descriptor] of kept) Object.defineProperty(globalThis, name, descriptor);
  }
}

for (const [environment, missing] of [
  ["Node.js", []],
  ["a browser", ["setImmediate"]],
  ["jsdom", ["setImmediate", "MessageChannel"]],
] as const)
  test(`each task follows all microtasks of the previous one, in ${environment}`, () =>
    without(missing, async () => {
      const seen: string[] = [];
      const last = new Promise<void>((resolve) => {
        for (const name of ["a", "b", "c"])
          queueTask(async () => {
            seen.push(name);
            for (let turn = 0; turn < 20; turn++) await null;
            seen.push(name + " done");
            if (name === "c") resolve();
          });
      });
      seen.push("queued");
      await last;
      assert.deepEqual(seen, ["queued", "a", "a done", "b", "b done", "c", "c done"]);
    }));
