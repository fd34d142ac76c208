// A classic script: `<script src=".../client.global.js"></script>`, and then `new onechannel.Channel(...)`.
import { Channel, ChannelError } from "./index.ts";
import type {
  Attempt,
  ChannelEventMap,
  ChannelOptions,
  ChannelState,
  Debug,
  Fate,
  Statistics,
  TransportName,
  UnreachableCause,
} from "./index.ts";

declare global {
  /** What the script defines, and the types that the package exports. */
  namespace onechannel {
    export { Channel, ChannelError };
    export {
      Attempt,
      ChannelEventMap,
      ChannelOptions,
      ChannelState,
      Debug,
      Fate,
      Statistics,
      TransportName,
      UnreachableCause,
    };
  }
}

(globalThis as { onechannel?: unknown }).onechannel = { Channel, ChannelError };
