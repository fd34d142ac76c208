// Runs a script of a document, as it was copied, in a page of the echo server.
import { expect, test } from "vitest";
import { Channel } from "/chat/client.js";

test("the script opens a channel", async () => {
  const shown: unknown[] = [];
  Object.assign(globalThis, { show: (...values: unknown[]) => shown.push(...values) });
  const opened = new Promise<Channel>((resolve) => {
    Channel.prototype.dispatchEvent = function (event: Event) {
      if (event.type === "open") resolve(this);
      return EventTarget.prototype.dispatchEvent.call(this, event);
    };
  });
  await import(/* @vite-ignore */ process.env["DOCUMENT"]!);
  const channel = await opened;
  expect(channel.state).toBe("open");
  // A script that shows something shows the state.
  if (shown.length) expect(shown).toContain("open");
  await channel.close();
});
