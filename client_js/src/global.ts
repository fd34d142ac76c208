// For a script tag: <script src=".../client.global.js"></script>, then `new onechannel.Channel(...)`.
import { Channel, ChannelError } from "./index.ts";

(globalThis as { onechannel?: unknown }).onechannel = { Channel, ChannelError };
