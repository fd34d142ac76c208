// Checks the committed client: transport/static must be what client_js/src builds to, byte for byte
// and maps included. Checks the size of each module, and of those that only the npm package has.
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exit } from "node:process";
import { STATIC, build, gzipped } from "../client_js/build.mjs";

/**
 * Bytes after `gzip -9n`, at most: a page loads the client before it shows anything.
 *
 * The session, its transports and the public class take about 13.2 KiB. The rest tells a developer what is wrong: the
 * debug log 0.6 KiB, the diagnosis, `explain()` and warnings on the console 0.9 KiB, the checks of options, URLs and
 * messages 1.1 KiB.
 */
const BUDGETS = {
  "client.js": 16192,
  "client.global.js": 16192,
  "console.html": 7680,
  "websocket.js": 3328,
  // With the client in it.
  "websocket.global.js": 18816,
};
/** The same for every other module. */
const OPTIONAL_BUDGET = 2304;
const PACKAGE_BUDGETS = { "react.js": 1024 };

const faults = [];
const fresh = await mkdtemp(join(tmpdir(), "check-bundle-"));
try {
  const checkSize = (name, contents, budget) => {
    const size = gzipped(contents);
    console.log(`${name}: ${contents.length} bytes, ${size} of ${budget} after gzip -9n`);
    if (size > budget) faults.push(`${name} is ${size - budget} bytes over its budget`);
  };
  const names = await build(fresh);
  for (const name of names) {
    const expected = await readFile(join(fresh, name));
    const committed = await readFile(join(STATIC, name)).catch(() => null);
    if (committed === null) faults.push(`${name} is missing`);
    else if (!committed.equals(expected)) faults.push(`${name} is not what client_js/src builds to`);
    if (!name.endsWith(".map")) checkSize(name, expected, BUDGETS[name] ?? OPTIONAL_BUDGET);
  }
  const folder = join(fresh, "package");
  await build(folder, true);
  for (const [name, budget] of Object.entries(PACKAGE_BUDGETS))
    checkSize(name, await readFile(join(folder, name)), budget);
  const built = await readdir(STATIC).catch(() => []);
  for (const name of built.filter((name) => /\.(js|map|html)$/.test(name))) {
    if (!names.includes(name)) faults.push(`${name} is built from no source`);
  }
} finally {
  await rm(fresh, { recursive: true, force: true });
}
for (const fault of faults) console.error(`transport/static: ${fault}`);
if (faults.length > 0) {
  console.error("Run `make client` and commit transport/static.");
  exit(1);
}
