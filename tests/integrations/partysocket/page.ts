import { FallbackWebSocket } from "onechannel/websocket";
import { PartySocket } from "partysocket";
import { noteConnected, offerCount, show } from "../numbers.ts";

const socket = new PartySocket({
  host: location.host,
  prefix: "ws/parties",
  room: "hall",
  WebSocket: FallbackWebSocket,
});
socket.addEventListener("open", noteConnected);
socket.addEventListener("message", ({ data }) => show(Number(data.replace("hall: ", ""))));
await offerCount((number) => socket.send(String(number).padStart(40, "0")));
