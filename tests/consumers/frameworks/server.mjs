// Renders a component with every hook, as a server does: without a page, and to the end of the program.
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { useChannel, useChannelEvent, useChannelState, useMessages } from "onechannel/react";

function Room() {
  const channel = useChannel("/room", { transports: ["sse"] });
  useChannelEvent(channel, "message", () => {});
  const shown = [channel, useChannelState(channel), useMessages(channel)];
  return createElement("output", null, JSON.stringify(shown));
}

console.log(renderToString(createElement(Room)).replaceAll("&quot;", '"'));
