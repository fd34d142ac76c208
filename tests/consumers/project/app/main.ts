// A page: bundled by Vite and by esbuild, and run by Node.js with the URL of an echo server as its argument.
import { Channel, ChannelError } from "onechannel";
import "onechannel/global";
import { acrossReloads } from "onechannel/reload";
import { talk } from "./talk.ts";

const url = globalThis.process.argv[2];
const channels = [new Channel(url), new onechannel.Channel(url), await acrossReloads(Channel, url)];
const results = await Promise.all(channels.map(talk));
const expected = JSON.stringify(["hello", { answer: 42 }]);
if (!results.every((received) => JSON.stringify(received) === expected)) throw new Error(JSON.stringify(results));
try {
  new Channel("/chat");
  throw new Error("a relative URL was taken");
} catch (error) {
  if (error instanceof onechannel.ChannelError) throw new Error("the script has no classes of its own");
  if (!(error instanceof ChannelError && error.message.includes("Pass an absolute URL"))) throw error;
}
console.log("passed");
