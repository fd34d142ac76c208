// The platform's interface of a WebSocket on a channel, for pages and libraries that have one.
export { FallbackWebSocket } from "./fallback_websocket.ts";
export { install } from "./install.ts";
export type { Pattern } from "./install.ts";
