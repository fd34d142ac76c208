// Checks the committed client: transport/static must be what client_js/src builds to, byte for byte
// and maps included, and within its size budget. No name of the platform may be shortened.
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exit } from "node:process";
import { INTERNAL, RESERVED, STATIC, build, gzipped } from "../client_js/build.mjs";

const CLIENT = new URL("../client_js/", import.meta.url).pathname;

/** Bytes after `gzip -9n`, at most: a page loads the client before it shows anything. */
const BUDGETS = { "client.js": 11264, "client.global.js": 11264 };
/** The same for every optional module. */
const OPTIONAL_BUDGET = 2048;

/** Returns the text of all files below `folder` whose path matches `pattern`. */
async function readAll(folder, pattern) {
  const paths = (await readdir(folder, { recursive: true })).filter((path) => pattern.test(path));
  return (await Promise.all(paths.map((path) => readFile(join(folder, path), "utf8")))).join("\n");
}

/** Returns the members that the sources name, the build shortens, and the platform's declarations have too. */
async function findShortenedPlatformNames() {
  const sources = await readAll(join(CLIENT, "src"), /\.ts$/);
  const platform = await readAll(join(CLIENT, "node_modules/@typescript"), /lib\/lib\.[\w.]+\.d\.ts$/);
  const declared = new Set(platform.match(/\w+(?=\??[:(<])/g));
  if (!declared.has("isArray")) throw new Error("the declarations of TypeScript were not found");
  const names = new Set(sources.match(/\w+/g));
  return [...names].filter((name) => INTERNAL.test(name) && !RESERVED.test(name) && declared.has(name));
}

const faults = [];
for (const name of await findShortenedPlatformNames())
  faults.push(`the platform has a member ${name} too: rename ours, or add it to RESERVED in build.mjs`);
const fresh = await mkdtemp(join(tmpdir(), "check-bundle-"));
try {
  const names = await build(fresh);
  for (const name of names) {
    const expected = await readFile(join(fresh, name));
    const committed = await readFile(join(STATIC, name)).catch(() => null);
    if (committed === null) faults.push(`${name} is missing`);
    else if (!committed.equals(expected)) faults.push(`${name} is not what client_js/src builds to`);
    if (!name.endsWith(".js")) continue;
    const size = gzipped(expected);
    const budget = BUDGETS[name] ?? OPTIONAL_BUDGET;
    console.log(`${name}: ${expected.length} bytes, ${size} of ${budget} after gzip -9n`);
    if (size > budget) faults.push(`${name} is ${size - budget} bytes over its budget`);
  }
  const built = await readdir(STATIC).catch(() => []);
  for (const name of built.filter((name) => /\.(js|map)$/.test(name))) {
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
