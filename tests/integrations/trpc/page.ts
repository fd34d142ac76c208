import { createTRPCUntypedClient, createWSClient, wsLink } from "@trpc/client";
import { FallbackWebSocket } from "onechannel/websocket";

let opened = 0;
const url = `ws://${location.host}/ws`;
const client = createWSClient({ url, WebSocket: FallbackWebSocket, onOpen: () => void opened++ });
const trpc = createTRPCUntypedClient({ links: [wsLink({ client })] });

/** Subscribes to the numbers below `to`, and meanwhile has as many noted, one after another. */
async function count(to: number): Promise<{ counts: unknown[]; opened: number }> {
  const counts: unknown[] = [];
  const counted = new Promise<void>((onComplete, onError) =>
    trpc.subscription("count", to, { onData: (one) => counts.push(one), onComplete, onError }),
  );
  for (let number = 0; number < to; number++) await trpc.mutation("note", number);
  await counted;
  return { counts, opened };
}

Object.assign(window, { count });
