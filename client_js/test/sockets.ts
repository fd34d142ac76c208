// FallbackWebSockets in a world, and what a test sees of them.
import { FallbackWebSocket } from "../src/fallback_websocket.ts";
import type { ChannelOptions } from "../src/options.ts";
import { PageWorld, opened } from "./world.ts";
import type { FakeSocket } from "./world.ts";

export class SocketWorld extends PageWorld {
  /** What the console was told. */
  readonly said: string[] = [];

  constructor() {
    super();
    Object.assign(this.environment, { console: { error: (text: string) => this.said.push(text) } });
  }

  /** Returns the class with these options in this world. */
  Socket(options: ChannelOptions = {}): typeof FallbackWebSocket {
    const { environment } = this;
    class Socket extends FallbackWebSocket {
      static override readonly _environment = environment;
    }
    return Socket.with({ transports: ["websocket"], ...options });
  }

  /** Returns a socket, and its events in order: their type, and what tells them apart. */
  dial(protocols: string[] = [], options: ChannelOptions = {}): { socket: FallbackWebSocket; events: unknown[][] } {
    const socket = new (this.Socket(options))("/ws/rooms/7?lang=de", protocols);
    return { socket, events: record(socket) };
  }

  /** Answers the next attach over WebSocket, and the `target` in it. Returns its connection, with nothing to take. */
  async accept(subprotocol: string | null = null): Promise<FakeSocket> {
    const connection = await this.openSocket();
    connection.receive([1, 0, { accept: subprotocol }]);
    await this.settle();
    return connection;
  }
}

/** Returns the events of a socket in order, each with `readyState` and its fields. */
export function record(socket: FallbackWebSocket): unknown[][] {
  const events: unknown[][] = [];
  socket.addEventListener("open", () => events.push(["open", socket.readyState]));
  socket.addEventListener("message", ({ data }) => events.push(["message", data]));
  socket.addEventListener("error", () => events.push(["error", socket.readyState]));
  socket.addEventListener("close", ({ code, reason, wasClean }) => events.push(["close", code, reason, wasClean]));
  return events;
}

/** The end of a socket that has failed. */
export const FAILED = [
  ["error", 3],
  ["close", 1006, "", false],
];

export { opened };
