// What a test sees of a channel.
import type { Channel } from "../src/channel.ts";
import type { ChannelError } from "../src/errors.ts";

/** Returns what became of a send so far. */
export function watch(promise: Promise<void>): { outcome: string } {
  const watched = { outcome: "pending" };
  promise.then(
    () => (watched.outcome = "handled"),
    (error: ChannelError) => (watched.outcome = `${error.code}: ${error.fate}`),
  );
  return watched;
}

/** Returns the messages of a channel as they come. */
export function listen(channel: Channel): unknown[] {
  const seen: unknown[] = [];
  channel.addEventListener("message", ({ data, recovered }) => seen.push(recovered ? { recovered: data } : data));
  return seen;
}

/** Returns the attempts of a channel, in words. */
export const outcomes = (channel: Channel): string[] =>
  channel.explain().map(({ transport, outcome, reason }) => `${transport} ${outcome} ${reason}`.trim());

/** Returns what the promises that `act` leaves behind were rejected with, if nothing handled it. */
export async function unhandledDuring(act: () => Promise<void>): Promise<unknown[]> {
  const unhandled: unknown[] = [];
  // Those of the test runner would fail the test.
  const others = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", (reason) => unhandled.push(reason));
  try {
    await act();
    await new Promise(setImmediate);
  } finally {
    process.removeAllListeners("unhandledRejection");
    for (const listener of others) process.on("unhandledRejection", listener);
  }
  return unhandled;
}
