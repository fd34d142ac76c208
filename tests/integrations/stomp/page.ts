import { Client } from "@stomp/stompjs";
import { FallbackWebSocket } from "onechannel/websocket";
import { noteConnected, offerCount, show } from "../numbers.ts";

const client = new Client({
  webSocketFactory: () => new FallbackWebSocket("/ws/stomp", ["v12.stomp"]),
  heartbeatIncoming: 0,
  heartbeatOutgoing: 0,
});
client.onConnect = () => {
  client.subscribe("/queue/numbers", ({ body }) => show(Number(body)), { id: "numbers" });
  noteConnected();
};
client.activate();
await offerCount((number) => client.publish({ destination: "/queue/numbers", body: String(number) }));
