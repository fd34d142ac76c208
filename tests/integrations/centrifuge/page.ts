import { Centrifuge } from "centrifuge";
import { FallbackWebSocket } from "onechannel/websocket";
import { noteConnected, offerCount, show } from "../numbers.ts";

const client = new Centrifuge(`ws://${location.host}/ws/connection/websocket`, {
  websocket: FallbackWebSocket,
  timeout: 120_000,
  maxServerPingDelay: 120_000,
  networkEventTarget: new EventTarget(),
});
client.on("connected", noteConnected);
const news = client.newSubscription("news");
news.on("publication", ({ data }) => show(data.number));
news.subscribe();
client.connect();
await news.ready();
await offerCount((number) => void news.publish({ number }));
