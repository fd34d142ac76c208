// A script tag in a window of jsdom, which lacks globals of Node.js, as under jest.
// The argument is the URL of an echo server.
import { readFile } from "node:fs/promises";
import { JSDOM } from "jsdom";
import { complete } from "../documents/complete.mjs"; // copied from docs/browser.md

const [, , url] = process.argv;
const script = await readFile("node_modules/onechannel/dist/client.global.js", "utf8");

/** Runs the script in a page at `page`, after `prepare(window)`, and returns what it defines. */
function load(page, prepare) {
  const { window } = new JSDOM("", {
    url: page,
    runScripts: "outside-only",
    beforeParse: prepare,
  });
  window.eval(script);
  return window.onechannel;
}

function refusal(call) {
  try {
    call();
  } catch (error) {
    return `${error.code}: ${error.message}`;
  }
  throw new Error("nothing was refused");
}

const bare = load(url, () => {});
const lacks = refusal(() => new bare.Channel("/chat"));
if (!/^unsupported: .*lacks fetch.*docs\/browser\.md/.test(lacks)) throw new Error(lacks);

const blank = load("about:blank", complete);
const nowhere = refusal(() => new blank.Channel("/chat"));
if (!/^invalid_argument: .*about:blank.*absolute URL/.test(nowhere)) throw new Error(nowhere);

const { Channel } = load(url, complete);
for (const transport of ["websocket", "sse", "longpoll"]) {
  const channel = new Channel("/chat", { transports: [transport] });
  const echo = new Promise((resolve) => channel.addEventListener("message", resolve, { once: true }));
  await channel.send("hello");
  const { data } = await echo;
  if (data !== "hello") throw new Error(data);
  await channel.close();
}
console.log("passed");
