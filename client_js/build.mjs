// Builds the browser client: `node build.mjs [outdir]`, into transport/static by default.
//
// The same sources give the same bytes whatever the output folder and wherever the
// checkout lies: esbuild is told one fixed folder, and the files are written from memory.
// esbuild bundles and renames private properties; Terser, behind it, saves a few hundred
// bytes more.
import { spawnSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { minify } from "terser";

const ROOT = dirname(fileURLToPath(import.meta.url));
export const STATIC = resolve(ROOT, "../transport/static");

/** Each bundle that the hub serves: its name, its source, its format. */
export const BUNDLES = [
  { name: "client", source: "src/index.ts", format: "esm" },
  { name: "client.global", source: "src/global.ts", format: "iife" },
  { name: "reload", source: "src/reload.ts", format: "esm" },
];

/** Short names of private properties: with these it compresses best (names.mjs). What is not listed gets one that is free. */
export const NAMES = new URL("names.json", import.meta.url);

/** The bytes of it after `gzip -9`. Not Node's own zlib, which makes it smaller than what servers send. */
export const gzipped = (data) => spawnSync("gzip", ["-9nc"], { input: data }).stdout.length;

/** Minifies one bundle, its private properties renamed as in `names`; answers its code and its map. */
export async function minified({ name, source, format }, names, url) {
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
    sourcemap: "external",
    legalComments: "none",
    // What only our own modules see begins with `_`, and gets a short name.
    mangleProps: /^_/,
    reserveProps: /^__/,
    mangleCache: names,
    logLevel: "warning",
  });
  const built = new Map(result.outputFiles.map((file) => [basename(file.path), file.text]));
  const { code, map } = await minify(built.get(`${name}.js`), {
    module: true,
    compress: { ecma: 2020, passes: 3, inline: 1, hoist_funs: true, pure_getters: true, unsafe_arrows: true },
    // From the sources to the last bytes, over both.
    sourceMap: { content: built.get(`${name}.js.map`), filename: `${name}.js`, ...(url && { url }) },
  });
  return { code, map, names: result.mangleCache };
}

/**
 * Builds every bundle into `outdir`; answers the names of the files written.
 *
 * `packaged`: a comment names each file's map. The hub does so in a header.
 */
export async function build(outdir, packaged = false) {
  const files = new Map();
  // Handed from bundle to bundle, so that a private property has one name in all of them.
  let names = JSON.parse(await readFile(NAMES, "utf8"));
  for (const bundle of BUNDLES) {
    const { name } = bundle;
    const made = await minified(bundle, names, packaged && `${name}.js.map`);
    names = made.names;
    files.set(`${name}.js`, made.code + "\n");
    files.set(`${name}.js.map`, made.map + "\n");
  }
  await mkdir(outdir, { recursive: true });
  for (const [name, contents] of files) await writeFile(join(outdir, name), contents);
  return [...files.keys()];
}

if (resolve(argv[1] ?? "") === fileURLToPath(import.meta.url)) {
  const packaged = argv[2];
  await build(packaged ? resolve(packaged) : STATIC, !!packaged);
}
