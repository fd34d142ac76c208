// Runs the tests: `node test.mjs [filter…] [--node-option…]`.
//
// Node 20 cannot run TypeScript, so each test/**/*.test.ts is bundled into a temporary directory under .build, and
// `node --test` runs the bundles from client_js. A filter is part of a test's path; arguments that begin with a dash
// are passed to node.
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { argv, execPath, exit } from "node:process";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const ROOT = dirname(fileURLToPath(import.meta.url));

const options = argv.slice(2).filter((word) => word.startsWith("-"));
const filters = argv.slice(2).filter((word) => !word.startsWith("-"));

const sources = (await readdir(join(ROOT, "test"), { recursive: true }))
  .filter((path) => path.endsWith(".test.ts"))
  .filter((path) => filters.length === 0 || filters.some((filter) => path.includes(filter)))
  .sort();
if (sources.length === 0) {
  console.error("test.mjs: no test/**/*.test.ts matches");
  exit(1);
}

await mkdir(join(ROOT, ".build"), { recursive: true });
const outdir = await mkdtemp(join(ROOT, ".build", "test-"));
let code = 1;
try {
  await esbuild.build({
    absWorkingDir: ROOT,
    entryPoints: sources.map((path) => join("test", path)),
    outbase: "test",
    outdir,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: "linked",
    logLevel: "warning",
  });
  const bundles = sources.map((path) => join(outdir, path.replace(/\.ts$/, ".mjs")));
  code = await run(["--enable-source-maps", "--test", ...options, ...bundles]);
} finally {
  await rm(outdir, { recursive: true, force: true });
}
exit(code);

function run(args) {
  return new Promise((settle, fail) => {
    const child = spawn(execPath, args, { cwd: ROOT, stdio: "inherit" });
    child.on("error", fail);
    child.on("exit", (status) => settle(status ?? 1));
  });
}
