// Builds the browser client: `node build.mjs [outdir]`, into transport/static by default.
//
// The build is reproducible: esbuild works from one fixed folder and the files are written from
// memory, so that the same sources give the same bytes in any checkout and any output folder.
import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const ROOT = dirname(fileURLToPath(import.meta.url));
export const STATIC = resolve(ROOT, "../transport/static");

/** The bundles that the hub serves. */
export const BUNDLES = [
  { name: "client", source: "src/index.ts", format: "esm" },
  { name: "client.global", source: "src/global.ts", format: "iife" },
  { name: "reload", source: "src/reload.ts", format: "esm" },
];

/** Returns the size of `data` after `gzip -9n`: Node's own zlib compresses better than most servers do. */
export const gzipped = (data) => spawnSync("gzip", ["-9nc"], { input: data }).stdout.length;

/**
 * Builds every bundle into `outdir` and returns the names of the files written.
 *
 * `packaged`: end each file with a comment that names its source map. The hub sends a header instead.
 */
export async function build(outdir, packaged = false) {
  await mkdir(outdir, { recursive: true });
  const written = [];
  // Passed from bundle to bundle, so that a private member has the same short name in all of them.
  let mangleCache = {};
  for (const { name, source, format } of BUNDLES) {
    const result = await esbuild.build({
      absWorkingDir: ROOT,
      entryPoints: [{ in: source, out: name }],
      outdir: ".",
      write: false,
      bundle: true,
      format,
      platform: "browser",
      target: "es2022",
      minify: true,
      sourcemap: packaged ? "linked" : "external",
      legalComments: "none",
      // Private members of classes begin with `_` and get short names.
      mangleProps: /^_/,
      reserveProps: /^__/,
      mangleCache,
      logLevel: "warning",
    });
    mangleCache = result.mangleCache;
    for (const { path, contents } of result.outputFiles) {
      await writeFile(join(outdir, basename(path)), contents);
      written.push(basename(path));
    }
  }
  return written;
}

if (resolve(argv[1] ?? "") === fileURLToPath(import.meta.url)) {
  const packaged = argv[2];
  await build(packaged ? resolve(packaged) : STATIC, packaged !== undefined);
}
