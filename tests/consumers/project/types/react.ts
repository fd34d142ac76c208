// The types of the hooks. Compiled, never run.
import type { Channel, ChannelEventMap, ChannelState } from "onechannel";
import { useChannel, useChannelEvent, useChannelState, useMessages } from "onechannel/react";

interface Line {
  text: string;
}

function useTypes(user: string | null): void {
  const channel: Channel<Line, number> | null = useChannel<Line, number>("/chat", { headStart: 2 });
  useChannel(user && "/chat") satisfies Channel | null;
  useChannel(new URL("https://example.com/chat"));
  useChannel(undefined);
  useChannel(user !== null && "/chat");
  useChannelState(channel) satisfies ChannelState;
  useMessages(channel) satisfies readonly Line[];
  useMessages(channel, 1)[0] satisfies Line | undefined;
  useMessages(null);
  useChannelEvent(channel, "message", ({ data, recovered }) => use<string | boolean>(data.text, recovered));
  useChannelEvent(channel, "reset", ({ sends }) => use<number>(...sends.map(({ message }) => message)));
  useChannelEvent(channel, "close", (event: ChannelEventMap["close"]) => use<number>(event.code));
  void channel?.send(1);
  // @ts-expect-error What is sent has another type.
  void channel?.send("1");
  // @ts-expect-error There is no such option.
  useChannel("/chat", { transport: "sse" });
  // @ts-expect-error There is no such event.
  useChannelEvent(channel, "error", () => {});
  // @ts-expect-error The list is the channel's own.
  useMessages(channel).push({ text: "" });
}

declare function use<T>(...values: T[]): void;
