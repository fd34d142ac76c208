// A classic script: `<script src=".../websocket.global.js"></script>`, and then `onechannel.install(...)`. It contains the
// client.
// Its declarations, of `onechannel.Channel` and the types.
export type {} from "./global.ts";
import { Channel, ChannelError } from "./index.ts";
import { FallbackWebSocket, install } from "./websocket.ts";
import type { Pattern } from "./websocket.ts";

declare global {
  /** What the script defines besides what `client.global.js` does, and the types that the package exports. */
  namespace onechannel {
    export { FallbackWebSocket, Pattern, install };
  }
}

(globalThis as { onechannel?: unknown }).onechannel = { Channel, ChannelError, FallbackWebSocket, install };
