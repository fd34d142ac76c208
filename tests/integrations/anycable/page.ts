import { createCable } from "@anycable/web";
import { FallbackWebSocket } from "onechannel/websocket";
import { noteConnected, offerCount, show } from "../numbers.ts";

const cable = createCable(`ws://${location.host}/ws/cable`, {
  websocketImplementation: FallbackWebSocket,
  maxMissingPings: 40,
});
cable.on("connect", noteConnected);
const room = cable.subscribeTo("RoomChannel");
room.on("message", (message) => show((message as { number: number }).number));
await room.ensureSubscribed();
await offerCount((number) => void room.perform("say", { number }));
