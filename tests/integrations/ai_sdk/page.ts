import { WebSocketChatTransport } from "ai";
import { FallbackWebSocket } from "onechannel/websocket";

// No class with the platform's types fits the option's type; WebSocket does not either.
const url = `ws://${location.host}/ws`;
const transport = new WebSocketChatTransport({ url, webSocket: FallbackWebSocket as never });

const tokens: string[] = [];
const button = new AbortController();

/** Asks for an answer of `count` tokens, and returns them. */
async function ask(count: number): Promise<string[]> {
  const stream = await transport.sendMessages({
    chatId: "chat",
    trigger: "submit-message",
    messageId: undefined,
    messages: [{ id: "question", role: "user", parts: [{ type: "text", text: `${count}` }] }],
    abortSignal: button.signal,
  });
  for (const reader = stream.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) return tokens;
    if (value.type === "text-delta") tokens.push(value.delta);
  }
}

Object.assign(window, { ask, tokens, stop: () => button.abort() });
