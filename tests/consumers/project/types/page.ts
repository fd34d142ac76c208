// Every export of the package, as a page uses it. Compiled, never run.
import { Channel, ChannelError } from "onechannel";
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
} from "onechannel";
import { acrossReloads } from "onechannel/reload";

const transports: readonly TransportName[] = ["websocket", "sse", "longpoll"];
const options: ChannelOptions = {
  transports,
  credentials: () => Promise.resolve("token"),
  withCredentials: true,
  headStart: 1.2,
  openTimeout: 8,
  postTimeout: 10,
  retryBase: 0.5,
  retryMax: 30,
  fallbackFor: 300,
  queueMessages: 1000,
  queueBytes: 1e6,
};
const debug: Debug = (line) => use<string>(line);
Channel.debug = debug;
export const channel: Channel = new Channel("/chat", options);
export const other: Channel = new Channel(new URL("https://example.com/chat"));
export const kept: Promise<Channel> = acrossReloads(Channel, "/chat", options);

// Each event with its listener, which can be removed again.
const onMessage = ({ data, recovered }: ChannelEventMap["message"]): void => use(data, recovered);
const listeners: { [Type in keyof ChannelEventMap]: (event: ChannelEventMap[Type]) => void } = {
  open: (event) => use(event.type),
  message: onMessage,
  transport: ({ transport }) => use<TransportName>(transport),
  statechange: ({ state, previous }) => use<ChannelState>(state, previous),
  recovering: ({ reason }) => use<string>(reason),
  unreachable: ({ cause, reason }) => use<UnreachableCause>(cause, reason),
  suspended: (event) => use(event.type),
  resumed: ({ replayed }) => use<number>(replayed),
  reset: ({ reason, lost, sends }) => use(reason, lost, ...sends.map(({ message, fate }) => [message, fate])),
  close: ({ code, reason, by, wasClean }) => use(code, reason, by, wasClean),
};
channel.addEventListener("message", onMessage);
channel.removeEventListener("message", onMessage);
channel.addEventListener("close", listeners.close, { once: true });
channel.removeEventListener("close", listeners.close, { capture: false });
channel.addEventListener("reset", listeners.reset);
channel.removeEventListener("reset", null);
channel.addEventListener("another", { handleEvent: (event: Event) => use(event.type) });
channel.removeEventListener("another", (event: Event) => use(event.type));
// @ts-expect-error The event of another type.
channel.removeEventListener("message", ({ code }: ChannelEventMap["close"]) => use(code));

export async function everything(): Promise<void> {
  const sent: Promise<void> = channel.send({ text: "hello" });
  try {
    await sent;
  } catch (error) {
    if (!(error instanceof ChannelError)) throw error;
    use<string>(error.code, error.name, error.message);
    use<Fate>(error.fate);
  }
  use<ChannelState>(channel.state);
  use<string | null>(channel.id);
  use<TransportName | null>(channel.transport);
  channel.transports = channel.transports.slice(1);
  channel.reconnect();
  channel.suspend();
  channel.resume();
  const statistics: Statistics = channel.statistics();
  use<number>(statistics.sent, statistics.attempts.sse);
  for (const { transport, outcome, reason, milliseconds } of channel.explain() satisfies Attempt[])
    use(transport, outcome, reason, milliseconds);
  for await (const data of channel) use<unknown>(data);
  await channel.close(4000, "done");
}

// Only what is documented is public.
// @ts-expect-error The constructor takes two arguments.
new Channel("/chat", options, globalThis);
// @ts-expect-error
void acrossReloads(Channel, "/chat", options, globalThis);
// @ts-expect-error
use(channel._driver);
// @ts-expect-error
use(channel._inbox);
// @ts-expect-error
channel.state = "open";
// @ts-expect-error
use(new Channel("/chat", { transport: "sse" }));

declare function use<T = unknown>(value: T, ...others: unknown[]): void;
