import { expect, test } from "vitest";
import { Channel } from "onechannel";
import { talk } from "../app/talk.ts";

// The WebSocket of jsdom dispatches events that Node.js refuses, so it works in no application (docs/browser.md).
const transports = navigator.userAgent.includes("jsdom")
  ? (["sse", "longpoll"] as const)
  : (["websocket", "sse", "longpoll"] as const);

for (const transport of transports)
  test(`a channel over ${transport} exchanges messages`, async () => {
    expect(document.baseURI).toBe(location.href);
    const channel = new Channel("/chat", { transports: [transport] });
    expect(await talk(channel)).toEqual(["hello", { answer: 42 }]);
    expect(channel.statistics().attempts[transport]).toBe(1);
  });
