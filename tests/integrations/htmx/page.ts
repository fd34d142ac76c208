import htmx from "htmx.org";
import "htmx-ext-ws";
import { FallbackWebSocket } from "onechannel/websocket";
import { noteConnected, offerCount } from "../numbers.ts";
import { showItems, submit } from "./list.ts";

// @ts-expect-error The types of htmx do not have what its extension adds.
htmx.createWebSocket = (url) => new FallbackWebSocket(url);

document.body.innerHTML = `
  <div hx-ext="ws" ws-connect="/ws/list">
    <ol id="list"></ol>
    <form ws-send><input name="number"></form>
  </div>`;
showItems();
htmx.on("htmx:wsOpen", noteConnected);
htmx.process(document.body);
await offerCount(submit);
