import htmx from "htmx-4";
import "htmx-4/dist/ext/hx-ws.js";
import { install } from "onechannel/websocket";
import { noteConnected, offerCount } from "../numbers.ts";
import { showItems, submit } from "../htmx/list.ts";

install("/ws");

document.body.innerHTML = `
  <div hx-ws:connect="/ws/list">
    <ol id="list"></ol>
    <form hx-ws:send><input name="number"></form>
  </div>`;
showItems();
htmx.on("htmx:ws:after:connection", noteConnected);
htmx.process(document.body);
await offerCount(submit);
