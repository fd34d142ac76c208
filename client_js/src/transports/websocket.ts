import type { Transport, Wiring } from "./interface.ts";

/** WS-1: text frames are frames, binary frames are bytes. */
export function websocket({ env, url, reached, hear }: Wiring): Transport {
  const socket = new env.WebSocket(url("websocket").replace("http", "ws"));
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => hear({ type: "frame", frame: data as string | ArrayBuffer });
  // No onerror: a close follows each error, and tells more.
  socket.onclose = ({ code }) => hear({ type: "lost", reason: "closed with " + code, code });
  return {
    send({ frames }) {
      const send = (): void => frames.forEach((frame) => socket.send(frame as string));
      // Only `open` can come before the socket is: all else answers `opened`.
      if (socket.readyState === 1) send();
      else
        socket.onopen = () => {
          reached();
          send();
        };
    },
    drop: () => socket.close(),
  };
}
