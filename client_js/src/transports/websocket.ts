import { nativeWebSocket } from "../environment.ts";
import type { Transport, TransportContext } from "./interface.ts";

/** A WebSocket: text messages are frames, binary messages are bytes (WS-1). */
export function websocket({ environment, urlOf, onReached, onInput }: TransportContext): Transport {
  const socket = new (nativeWebSocket(environment)!)(urlOf("websocket").replace("http", "ws"));
  // In Chromium no close event follows, and other browsers throw.
  if (socket.readyState === 3) throw "blocked by the page's Content-Security-Policy";
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => onInput({ type: "frame", frame: data as string | ArrayBuffer });
  // No onerror handler: each error is followed by a close event, which has a code.
  socket.onclose = ({ code }) => onInput({ type: "lost", reason: "closed with " + code, code });
  return {
    send({ frames }) {
      const send = (): void => frames.forEach((frame) => socket.send(frame as string));
      if (socket.readyState === 1) return send();
      // Only `open` can be written before the socket has opened: all else answers `opened`.
      socket.onopen = () => {
        onReached();
        send();
      };
    },
    close: () => socket.close(),
  };
}
