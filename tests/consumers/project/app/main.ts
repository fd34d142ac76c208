// A page: bundled by Vite and by esbuild, and run by Node.js with the URL of an echo server as its argument.
import { Channel, ChannelError } from "onechannel";
import { acrossReloads } from "onechannel/reload";
import { talk } from "./talk.ts";

const url = globalThis.process.argv[2];
const results = [await talk(new Channel(url)), await talk(await acrossReloads(Channel, url))];
const expected = JSON.stringify(["hello", { answer: 42 }]);
if (!results.every((received) => JSON.stringify(received) === expected)) throw new Error(JSON.stringify(results));
try {
  new Channel("/chat");
  throw new Error("a relative URL was taken");
} catch (error) {
  if (!(error instanceof ChannelError && error.message.includes("Pass an absolute URL"))) throw error;
}
console.log("passed");
