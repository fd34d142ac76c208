import mqtt from "mqtt";
import { FallbackWebSocket } from "onechannel/websocket";
import { noteConnected, offerCount, show } from "../numbers.ts";

const client = mqtt.connect(`ws://${location.host}/ws/mqtt`, {
  createWebsocket: (url, protocols) => new FallbackWebSocket(url, protocols),
  keepalive: 0,
});
client.on("connect", noteConnected);
client.on("message", (_topic, payload) => show(Number(payload.toString())));
await client.subscribeAsync("numbers");
await offerCount((number) => client.publish("numbers", String(number), { qos: 1 }));
