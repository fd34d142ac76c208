// Many clients in one process of Node. Each is the client that the server serves to pages, unchanged, with a
// conversation (conversation.js) over its channel. `tests/support/clients/fleet.py` drives this process: each line
// of input is JSON, `[name, argument]`, and each line of output is the answer to one of them.
import { createRequire } from "node:module";
import { stdin, stdout } from "node:process";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
require("../browsers/page.js");
require("../conversation.js");

/** Node 20 fires no `close` if the handshake fails, although the standard requires it and browsers do. Add it. */
const { WebSocket } = globalThis;
globalThis.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    let closed = false;
    this.addEventListener("close", () => (closed = true));
    this.addEventListener("error", () => setTimeout(() => closed || this.onclose?.({ code: 1006 }), 0));
  }
};

const commands = {
  /** Starts a client at each of `urls`. */
  async start({ urls, every, options }) {
    const source = await (await fetch(`${urls[0]}/chat/client.js`)).text();
    const { Channel } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
    globalThis.talks = urls.map((url) => new Talk(new Channel(`${url}/chat`, options), every));
  },

  /** Checks all conversations; `seconds` is the time until the last of them was complete. */
  ask: () => askAll(),

  /** Returns the ids of the sessions. */
  ids: () => talks.map(({ channel }) => channel.id),

  resets: () => talks.map(({ resets }) => resets),

  count: (type) => countOf(type),

  states: () => talks.map(({ channel }) => channel.state),
};

for await (const line of createInterface({ input: stdin })) {
  const [name, argument] = JSON.parse(line);
  Promise.resolve(commands[name](argument)).then(
    (answer) => stdout.write(JSON.stringify({ answer }) + "\n"),
    (error) => stdout.write(JSON.stringify({ error: error.stack ?? String(error) }) + "\n"),
  );
}
process.exit();
