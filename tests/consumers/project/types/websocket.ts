// The platform's interface of a WebSocket on a channel. Compiled, never run.
import type { Channel, ChannelOptions } from "onechannel";
import { FallbackWebSocket, install } from "onechannel/websocket";
import type { Pattern } from "onechannel/websocket";

const socket = new FallbackWebSocket("/ws/rooms/7", ["chat"]);
const options: ChannelOptions = { transports: ["sse"], credentials: "token" };
const Socket: typeof FallbackWebSocket = FallbackWebSocket.with(options);
new Socket(new URL("wss://example.com/ws"), "chat");

// A library takes the class, and a socket, in the place of the platform's.
export const Class: typeof WebSocket = Socket;
export const one: WebSocket = socket;
export const make = (Made: { new (url: string, protocols?: string | string[]): WebSocket }): WebSocket => new Made("/ws");
make(FallbackWebSocket);

socket.binaryType = "arraybuffer";
socket.onmessage = ({ data, origin }) => use<string>(data, origin);
socket.onclose = ({ code, wasClean }) => [code satisfies number, wasClean satisfies boolean];
socket.onopen = null;
socket.addEventListener("close", ({ reason }) => use<string>(reason), { once: true });
socket.addEventListener("another", { handleEvent: (event: Event) => use<string>(event.type) });
for (const data of ["text", new Blob(), new ArrayBuffer(1), new Uint8Array(1), new DataView(new ArrayBuffer(1))])
  socket.send(data);
socket.close(3000, "done");
use<string>(socket.url, socket.protocol, socket.extensions);
use<number>(socket.readyState, socket.bufferedAmount, FallbackWebSocket.OPEN, socket.CLOSED);
socket.channel satisfies Channel;
socket.channel.reconnect();

const patterns: Pattern[] = ["/ws", /\/ws\b/, (url) => url.pathname === "/ws"];
for (const pattern of patterns) install(pattern) satisfies () => void;
install("/ws", options)();

// @ts-expect-error
socket.readyState = 1;
// @ts-expect-error
socket.send({ text: "hello" });
// @ts-expect-error There is no such option.
FallbackWebSocket.with({ transport: "sse" });
// @ts-expect-error There is no such event.
socket.onreset = null;
// @ts-expect-error Only what is documented is public.
use(socket._options);

declare function use<T = unknown>(value: T, ...others: unknown[]): void;
