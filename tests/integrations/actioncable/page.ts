import { adapters, createConsumer } from "@rails/actioncable";
import { FallbackWebSocket } from "onechannel/websocket";
import { noteConnected, offerCount, show } from "../numbers.ts";

declare module "@rails/actioncable" {
  interface Consumer {
    connection: { isOpen(): boolean; monitor: { recordMessage(): void } };
  }
}

adapters.WebSocket = FallbackWebSocket;
const { connection, subscriptions } = createConsumer("/ws/cable");
setInterval(() => connection.isOpen() && connection.monitor.recordMessage(), 3000);

const room = subscriptions.create("RoomChannel", {
  connected: noteConnected,
  received: ({ number }: { number: number }) => show(number),
});
await offerCount((number) => room.perform("say", { number }));
