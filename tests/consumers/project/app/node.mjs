// Node.js imports the package as it is. The argument is the URL of an echo server.
import assert from "node:assert/strict";
import { Channel, ChannelError } from "onechannel";
import manifest from "onechannel/package.json" with { type: "json" };
import { acrossReloads } from "onechannel/reload";
import { WebSocket } from "ws";

const [, , url] = process.argv;
assert.equal(manifest.name, "onechannel");

/** Uses `channel`, which never fails to connect over its best transport. */
async function converse(channel) {
  const [best] = channel.transports;
  for (const message of ["hello", new Uint8Array([1, 2])]) {
    await channel.send(message);
    for await (const data of channel) {
      assert.deepEqual(data, message);
      break;
    }
  }
  assert.deepEqual(
    channel.explain().map(({ transport, outcome }) => [transport, outcome]),
    [[best, "open"]],
  );
  await channel.close();
  await assert.rejects(channel.send("late"), (error) => error instanceof ChannelError && error.code === "closed");
}

const hasWebSocket = "WebSocket" in globalThis;
assert.equal(hasWebSocket, parseInt(process.versions.node) >= 22 || process.execArgv.length > 0);
for (const make of [() => new Channel(url), () => acrossReloads(Channel, url)]) {
  const channel = await make();
  assert.equal(channel.transports.includes("websocket"), hasWebSocket);
  await converse(channel);
}
for (const transport of ["sse", "longpoll"]) await converse(new Channel(url, { transports: [transport] }));
// As the documents say.
globalThis.WebSocket = WebSocket;
await converse(new Channel(url, { transports: ["websocket"] }));
console.log("passed");
