// What the console tells the developer of a page that does not listen.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { World, failAll } from "./world.ts";
import { Channel } from "../src/channel.ts";

describe("a page that does not listen", () => {
  /** Returns a channel without listeners, its world, and what is written to the console. */
  function deafPage(): { world: World; channel: Channel; warnings: string[] } {
    const world = new World();
    const warnings: string[] = [];
    Object.assign(world.environment, { console: { warn: (text: string) => void warnings.push(text) } });
    const channel = new Channel("http://localhost/chat", {}, world.environment);
    return { world, channel, warnings };
  }

  test("is told once by the console that nothing connects", async () => {
    const { world, channel, warnings } = deafPage();
    await failAll(world, 10, 404);
    channel.reconnect();
    await failAll(world, 10, 404);
    assert.deepEqual(warnings, [
      "onechannel: unreachable (wrong_url): HTTP 404: there is no hub at this URL. Check its path. " +
        "Nothing listens to this event.",
    ]);
  });

  test("is told by the console that the server refuses it for good", async () => {
    const { world, channel, warnings } = deafPage();
    (await world.socket()).end();
    const error = { type: "error", code: "forbidden_origin", message: "list the origin" };
    (await world.request("sse")).respond(403, [error], "application/json");
    await world.settle();
    assert.equal(channel.state, "closed");
    assert.equal(warnings.length, 1);
    assert.match(warnings[0]!, /^onechannel: close \(4403\): .*list the origin/);
  });

  test("is told nothing of an end that an application wanted", async () => {
    const { world, channel, warnings } = deafPage();
    const socket = await world.openSocket();
    socket.receive({ type: "close", code: 4000, reason: "over", by: "app", last: 0, ack: 0 });
    await world.settle();
    assert.deepEqual([channel.state, warnings], ["closed", []]);
  });

  for (const way of ["addEventListener", "onunreachable"] as const)
    test(`is told nothing if it listens after all, by ${way}`, async () => {
      const { world, channel, warnings } = deafPage();
      const reports: unknown[] = [];
      const listener = ({ cause }: { cause: string }): void => void reports.push(cause);
      if (way === "addEventListener") channel.addEventListener("unreachable", listener);
      else channel.onunreachable = listener;
      await failAll(world, 10, 404);
      assert.deepEqual([reports, warnings], [["wrong_url"], []]);
    });
});
