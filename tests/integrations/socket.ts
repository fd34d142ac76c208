// What `onechannel/websocket` is to the pages: what their URL asks for.
//
// `?transport=native`: the browser's own WebSocket, to the endpoint without the hub. Otherwise our class, over this
// transport alone.
import { FallbackWebSocket as Fallback, install as replace } from "onechannel/built";

class Native extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    const bare = new URL(url, location.href);
    // Starlette mounts do not match their own path without a slash.
    bare.pathname = `/bare${bare.pathname.replace(/^\/ws$/, "/ws/")}`;
    super(bare, protocols);
  }
}

const transport = new URLSearchParams(location.search).get("transport");
const isNative = transport === "native";
const options = { transports: [transport] } as { transports: ("websocket" | "sse" | "longpoll")[] };

export const FallbackWebSocket = (isNative ? Native : Fallback.with(options)) as typeof Fallback;

export function install(pattern: string): void {
  if (isNative) globalThis.WebSocket = Native;
  else replace(pattern, options);
}
