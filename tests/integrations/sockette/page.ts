import { install } from "onechannel/websocket";
import Sockette from "sockette";
import { noteConnected, offerCount, show } from "../numbers.ts";

install("/ws");

const socket = new Sockette("/ws", {
  onopen: noteConnected,
  onmessage: ({ data }: MessageEvent<string>) => show(Number(data)),
});
await offerCount((number) => socket.send(String(number).padStart(40, "0")));
