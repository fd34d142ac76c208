// Many clients in one process of Node: the client that the server serves to pages, as it is, with a talk
// (conversation.js) over a channel of each. For `tests/support/clients/fleet.py`: a line of JSON comes in, `[name, argument]`, and one
// goes out, the answer.
import { createRequire } from "node:module";
import { stdin, stdout } from "node:process";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
require("../browsers/page.js");
require("../conversation.js");

/** Node 20 fires no `close` where the handshake fails, as the standard asks and browsers do: it is added. */
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
  /** A client at each of `urls`. */
  async start({ urls, every, options }) {
    const source = await (await fetch(`${urls[0]}/chat/client.js`)).text();
    const { Channel } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
    globalThis.talks = urls.map((url) => new Talk(new Channel(`${url}/chat`, options), every));
  },

  /** Asks all; `seconds` are those from now until the last of them was whole. */
  ask: () => askAll(),

  /** The names of the sessions. */
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
