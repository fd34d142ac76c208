import type { Out, Heard } from "../session.ts";
import type { Transport, Wiring } from "./transport.ts";

/** WS-1: text frames are frames, binary frames are bytes. */
export function websocket({ env, url, hear }: Wiring): Transport {
  const socket = env.webSocket(url("websocket").replace(/^http/, "ws"));
  socket.binaryType = "arraybuffer";
  let tell: ((heard: Heard) => void) | undefined = hear;
  let first: Out | undefined;
  const send = (out: Out): void => {
    // Only `open` can come before the socket is: all else answers `opened`.
    if (socket.readyState === 0) first = out;
    else for (const wire of out.wires) socket.send(wire as string);
  };
  socket.onopen = () => first && send(first);
  socket.onmessage = ({ data }) => tell?.({ type: "frame", wire: data as string | ArrayBuffer });
  // No onerror: a close follows each error, and tells more.
  socket.onclose = ({ code }) => tell?.({ type: "lost", reason: "closed with " + code, code });
  return {
    send,
    drop() {
      tell = undefined;
      socket.close();
    },
  };
}
