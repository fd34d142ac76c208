// Each test runs in the DOM that the command line names, in a page of the server at CHANNEL_URL.
import { defineConfig } from "vitest/config";

const url = process.env["CHANNEL_URL"]!;
const dist = `${import.meta.dirname}/node_modules/onechannel/dist`;

export default defineConfig({
  // As the server has them, for scripts of the documents.
  resolve: { alias: { "/chat/client.js": `${dist}/client.js`, "/chat/reload.js": `${dist}/reload.js` } },
  test: { include: ["tests/*.test.ts"], environmentOptions: { jsdom: { url }, happyDOM: { url } } },
});
