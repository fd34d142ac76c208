// Check the committed client: transport/static must equal a fresh build of client_js/src byte for
// byte, including maps, and stay within its size budget.
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exit } from "node:process";
import { STATIC, build, gzipped } from "../client_js/build.mjs";

/** Bytes of each client after gzip -9: a page loads it before it can show anything. */
const BUDGET = 9216;
const BUDGETED = ["client.js", "client.global.js"];

const faults = [];
const fresh = await mkdtemp(join(tmpdir(), "check-bundle-"));
try {
  const names = await build(fresh);
  for (const name of names) {
    const expected = await readFile(join(fresh, name));
    const committed = await readFile(join(STATIC, name)).catch(() => null);
    if (committed === null) faults.push(`${name} is missing`);
    else if (!committed.equals(expected)) faults.push(`${name} differs from a fresh build of client_js/src`);
    if (!name.endsWith(".js")) continue;
    const size = gzipped(expected);
    const budget = BUDGETED.includes(name) ? ` of ${BUDGET}` : "";
    console.log(`${name}: ${expected.length} bytes, ${size}${budget} after gzip -9`);
    if (budget !== "" && size > BUDGET) faults.push(`${name} is ${size - BUDGET} bytes above its budget`);
  }
  const built = await readdir(STATIC).catch(() => []);
  for (const name of built.filter((name) => /\.(js|map)$/.test(name))) {
    if (!names.includes(name)) faults.push(`${name} has no source in client_js/src`);
  }
} finally {
  await rm(fresh, { recursive: true, force: true });
}
for (const fault of faults) console.error(`transport/static: ${fault}`);
if (faults.length > 0) {
  console.error("Run `make client` and commit transport/static.");
  exit(1);
}
