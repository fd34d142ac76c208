import { createClient } from "graphql-ws";
import { FallbackWebSocket } from "onechannel/websocket";

const url = `ws://${location.host}/ws`;
const client = createClient({ url, webSocketImpl: FallbackWebSocket, lazy: false });

let connected = 0;
client.on("connected", () => connected++);

/** Subscribes to the numbers below `to`, and has each noted when it arrives. */
async function count(to: number): Promise<{ counts: unknown[]; connected: number }> {
  const counts = [];
  for await (const { data, errors } of client.iterate({ query: `subscription { count(to: ${to}) }` })) {
    counts.push(errors ?? data?.["count"]);
    const noting = client.iterate({ query: `mutation { note(number: ${data?.["count"]}) }` });
    for await (const { errors } of noting) if (errors) throw errors[0];
  }
  return { counts, connected };
}

Object.assign(window, { count });
