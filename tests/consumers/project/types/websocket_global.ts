/// <reference types="onechannel/websocket/global" />
// A classic script of a page that loads `websocket.global.js`. Compiled, never run.
{
  const socket = new onechannel.FallbackWebSocket("/ws");
  socket.onmessage = ({ data }) => data;
  const pattern: onechannel.Pattern = /\/ws/;
  const uninstall: () => void = onechannel.install(pattern, { headStart: 2 });
  const channel = new onechannel.Channel<string>("/chat");
  const all: [
    onechannel.Attempt,
    onechannel.ChannelEventMap,
    onechannel.ChannelOptions,
    onechannel.ChannelState,
    onechannel.Debug,
    onechannel.Fate,
    onechannel.Statistics,
    onechannel.TransportName,
    onechannel.UnreachableCause,
  ][] = [];
  channel.send("hello").catch((error: unknown) => error instanceof onechannel.ChannelError);
}
