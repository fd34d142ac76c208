// Builds the browser client: `node build.mjs [outdir]`, into transport/static by default.
//
// The same sources give the same bytes whatever the output folder and wherever the
// checkout lies: esbuild is told one fixed folder, and the files are written from memory.
// esbuild bundles and renames private properties; Terser, behind it, saves a few hundred
// bytes more.
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { minify } from "terser";

const ROOT = dirname(fileURLToPath(import.meta.url));
export const STATIC = resolve(ROOT, "../transport/static");

/** Each bundle that the hub serves: its name, its source, its format. */
const BUNDLES = [
  { name: "client", source: "src/index.ts", format: "esm" },
  { name: "client.global", source: "src/global.ts", format: "iife" },
  { name: "fallback-websocket", source: "src/fallback-websocket.ts", format: "esm", optional: true },
];

/** Builds every bundle into `outdir`; answers the names of the files written. */
export async function build(outdir) {
  const files = new Map();
  // Handed from bundle to bundle, so that a private property has one name in all of them.
  let mangleCache = {};
  for (const { name, source, format, optional } of BUNDLES) {
    if (optional && !existsSync(join(ROOT, source))) continue;
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
      mangleCache,
      logLevel: "warning",
    });
    mangleCache = result.mangleCache;
    const built = new Map(result.outputFiles.map((file) => [basename(file.path), file.text]));
    const { code, map } = await minify(built.get(`${name}.js`), {
      module: true,
      compress: { ecma: 2020, passes: 3, inline: 1, hoist_funs: true, pure_getters: true, unsafe_arrows: true },
      // From the sources to the last bytes, over both.
      sourceMap: { content: built.get(`${name}.js.map`), filename: `${name}.js`, url: `${name}.js.map` },
    });
    files.set(`${name}.js`, code + "\n");
    files.set(`${name}.js.map`, map + "\n");
  }
  await mkdir(outdir, { recursive: true });
  for (const [name, contents] of files) await writeFile(join(outdir, name), contents);
  return [...files.keys()];
}

if (resolve(argv[1] ?? "") === fileURLToPath(import.meta.url)) {
  await build(resolve(argv[2] ?? STATIC));
}
