// FallbackWebSocket and `install` in Node.js. The arguments are URLs of the same echo, of a hub and bare.
import assert from "node:assert/strict";
import { FallbackWebSocket, install } from "onechannel/websocket";
import "onechannel/websocket/global";
import { WebSocket as OtherWebSocket } from "ws";

const [, , url, bare] = process.argv;
const hasWebSocket = "WebSocket" in globalThis;

/** Makes a socket by `make`, and returns all of its events once it has echoed text and bytes and is closed. */
const converse = (make) =>
  new Promise((resolve) => {
    const socket = make();
    const events = [];
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      events.push("open");
      socket.send("hello");
      socket.send(new Uint8Array([1, 2]));
    };
    socket.onmessage = ({ data }) => {
      events.push(typeof data === "string" ? data : [...new Uint8Array(data)].join());
      if (events.length === 3) socket.close(3000, "done");
    };
    socket.onerror = () => events.push("error");
    socket.onclose = ({ type, code, reason, wasClean }) =>
      resolve([...events, type, code, reason, wasClean, socket.channel?.explain()[0].transport]);
  });
const conversation = (transport) => ["open", "hello", "1,2", "close", 3000, "done", true, transport];

for (const transport of [...(hasWebSocket ? ["websocket"] : []), "sse", "longpoll"]) {
  const Socket = FallbackWebSocket.with({ transports: [transport] });
  assert.deepEqual(await converse(() => new Socket(url)), conversation(transport));
}
// The script has a client of its own.
const Socket = onechannel.FallbackWebSocket.with({ transports: ["longpoll"] });
assert.deepEqual(await converse(() => new Socket(url)), conversation("longpoll"));
assert.throws(() => new onechannel.Channel("/relative"), onechannel.ChannelError);
onechannel.install(url)();
assert.throws(() => new FallbackWebSocket("/relative"), { name: "SyntaxError" });

const uninstall = install(url);
assert.deepEqual(await converse(() => new WebSocket(url)), conversation(hasWebSocket ? "websocket" : "sse"));
uninstall();
assert.equal("WebSocket" in globalThis && WebSocket !== undefined, hasWebSocket);

globalThis.WebSocket = OtherWebSocket;
install(url);
assert.deepEqual(await converse(() => new WebSocket(url)), conversation("websocket"));
assert.deepEqual(await converse(() => new WebSocket(bare)), conversation(undefined));
console.log("passed");
