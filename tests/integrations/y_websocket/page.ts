import { FallbackWebSocket } from "onechannel/websocket";
import { WebsocketProvider } from "y-websocket";
import { Doc } from "yjs";

const room = location.hash.slice(1);
const url = `ws://${location.host}/ws`;
const doc = new Doc();
const provider = new WebsocketProvider(url, room, doc, { WebSocketPolyfill: FallbackWebSocket });

const statuses: string[] = [];
provider.on("status", ({ status }) => void statuses.push(status));
const text = doc.getText();

/** Writes lines, one after another, each at the begin of the text. */
async function write(lines: string[]): Promise<void> {
  for (const line of lines) {
    text.insert(0, `${line}\n`);
    await new Promise((done) => setTimeout(done, 5));
  }
}

Object.assign(window, { provider, statuses, write, read: () => text.toString() });
