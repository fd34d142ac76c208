/// <reference types="onechannel/global" />
// A classic script of a page that loads `client.global.js`. Compiled, never run.
const channel = new onechannel.Channel<string>("/chat");
const options: onechannel.ChannelOptions = { headStart: 2 };
const every: [
  onechannel.Attempt,
  onechannel.ChannelEventMap,
  onechannel.ChannelState,
  onechannel.Debug,
  onechannel.Statistics,
  onechannel.TransportName,
  onechannel.UnreachableCause,
][] = [];
channel.onmessage = ({ data }) => data.trim();
channel.send("hello").catch((error: unknown) => {
  if (error instanceof onechannel.ChannelError) error.fate satisfies onechannel.Fate;
});
// @ts-expect-error
channel.onmessage = ({ data }) => data.toFixed();
// @ts-expect-error
onechannel.acrossReloads;
