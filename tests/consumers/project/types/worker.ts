// The package in a worker, whose library has no Window, Document or Storage. Compiled, never run.
import { Channel, ChannelError } from "onechannel";
import type { ChannelEventMap } from "onechannel";
import { acrossReloads } from "onechannel/reload";

declare const self: DedicatedWorkerGlobalScope;

const channel = new Channel(new URL("/chat", self.location.origin));
const onMessage = ({ data }: ChannelEventMap["message"]): void => self.postMessage(data);
channel.addEventListener("message", onMessage);
channel.removeEventListener("message", onMessage);
self.addEventListener("message", (event) => {
  channel.send(event.data).catch((error: unknown) => {
    if (error instanceof ChannelError) self.postMessage(error.fate);
  });
});
export const kept: Promise<Channel> = acrossReloads(Channel, "https://example.com/chat");
