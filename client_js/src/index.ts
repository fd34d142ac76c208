export { Channel } from "./channel.ts";
export type { ChannelEventMap, ChannelOptions, Statistics } from "./options.ts";
export type { Debug } from "./debug.ts";
export type { UnreachableCause } from "./diagnosis.ts";
export type { Attempt } from "./explain.ts";
export { ChannelError } from "./errors.ts";
export type { Fate } from "./errors.ts";
export type { TransportName } from "./frames.ts";
export type { ChannelState } from "./states.ts";
