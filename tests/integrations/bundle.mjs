// Bundles the page of a library: `node bundle.mjs LIBRARY` writes build/LIBRARY.js.
//
// The page imports `onechannel/websocket`, as users do, and gets the class that its URL asks for (socket.ts), of the
// script that hubs serve.
import { dirname, join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "../../client_js/node_modules/esbuild/lib/main.js";

const ROOT = dirname(fileURLToPath(import.meta.url));
const library = argv[2];

await build({
  absWorkingDir: ROOT,
  stdin: { contents: `import "./${library}/page.ts"; window.ready = true;`, resolveDir: ROOT },
  outfile: `build/${library}.js`,
  bundle: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  alias: {
    "onechannel/websocket": join(ROOT, "socket.ts"),
    "onechannel/built": join(ROOT, "../../transport/static/websocket.js"),
  },
  define: { "process.env.NODE_ENV": '"production"' },
  logLevel: "warning",
});
