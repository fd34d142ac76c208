// Tasks of the event loop, in order. Each event of a WebSocket is fired in a task of its own: what its listeners have
// awaited goes on before the next event, and can listen to that. No more tasks wait than the server's window has
// messages: they take their turn with the reading of the connection, and what is not read is not acknowledged.

/** Kept, because a browser may collect a port that only messages refer to. */
let pipe: MessageChannel | undefined;
const waiting: (() => void)[] = [];

/** Calls `act` in a task of its own, after those that were queued before. Not a timer, which hidden pages slow down. */
export function queueTask(act: () => void): void {
  // Of Node.js, where a message port would keep the process running. In quotes, as the build knows browsers only.
  const setImmediate = (globalThis as { setImmediate?: (act: () => void) => void })["setImmediate"];
  if (setImmediate) return setImmediate(act);
  // As in jsdom.
  if (!globalThis.MessageChannel) return void setTimeout(act);
  if (!pipe) {
    pipe = new MessageChannel();
    pipe.port1.onmessage = () => waiting.shift()!();
  }
  waiting.push(act);
  pipe.port2.postMessage(0);
}
