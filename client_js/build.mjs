// Builds the browser client and the console page: `node build.mjs [outdir]`, into transport/static by default.
//
// esbuild bundles the modules and shortens internal members; Terser then saves another 400 bytes. The build is
// reproducible: esbuild runs in a fixed directory and the files are written from memory, so the same sources give the
// same bytes in any checkout and any output directory.
import { spawnSync } from "node:child_process";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";
import { minify } from "terser";

const ROOT = dirname(fileURLToPath(import.meta.url));
export const STATIC = resolve(ROOT, "../transport/static");

/** Makes a bundle import the client instead of containing another one. */
const CLIENT_IS_EXTERNAL = {
  name: "client",
  setup: ({ onResolve }) =>
    onResolve({ filter: /^\.\/index\.ts$/ }, () => ({ path: "./client.js", external: true })),
};

/** The bundles that the hub serves. */
const BUNDLES = [
  { name: "client", source: "src/index.ts", format: "esm" },
  { name: "client.global", source: "src/global.ts", format: "iife" },
  { name: "reload", source: "src/reload.ts", format: "esm" },
  { name: "websocket", source: "src/websocket.ts", format: "esm", plugins: [CLIENT_IS_EXTERNAL] },
  { name: "websocket.global", source: "src/websocket_global.ts", format: "iife" },
];

/** Those that only the npm package has: a page without a bundler cannot resolve what they import. */
const PACKAGE_BUNDLES = [
  { name: "react", source: "src/react.ts", format: "esm", external: ["react"], plugins: [CLIENT_IS_EXTERNAL] },
];

/** The page that `Hub(handler, console=True)` serves: one file, whose script loads the client from the hub. */
const CONSOLE = join(ROOT, "console");

/** Members that get short names, unless they are plain: private ones, and those of two words or more. */
const INTERNAL = /^_|^[a-z]+[A-Z]/;
/** The sources whose members are plain: what goes over the wire, to the application, or into storage. */
const PLAIN = ["frames", "channel", "options", "explain", "diagnosis", "errors", "session_handover"];
/** Where TypeScript declares the members of the platform, which are plain too. */
const PLATFORM = join(ROOT, "node_modules/@typescript");

/** Returns the size of `data` after `gzip -9n`: Node's own zlib compresses better than most servers do. */
export const gzipped = (data) => spawnSync("gzip", ["-9nc"], { input: data }).stdout.length;

/** Returns the plain names that look internal, in the form in which esbuild takes names to keep. */
async function plainNames() {
  const platform = (await readdir(PLATFORM, { recursive: true })).filter((path) => /lib\.[\w.]+\.d\.ts$/.test(path));
  const names = new Set();
  const own = PLAIN.map((name) => join(ROOT, "src", `${name}.ts`));
  for (const path of [...own, ...platform.map((path) => join(PLATFORM, path))])
    for (const [name] of (await readFile(path, "utf8")).matchAll(/\b\w+(?=\??[:(<])/g))
      if (INTERNAL.test(name)) names.add(name);
  if (!names.has("addEventListener")) throw new Error("the declarations of TypeScript are not where they were");
  return Object.fromEntries([...names].map((name) => [name, false]));
}

/** Bundles one entry point. `mangleCache`: the names that are taken, and the plain ones. */
async function bundle({ name, source, ...options }, mangleCache) {
  const result = await esbuild.build({
    absWorkingDir: ROOT,
    entryPoints: [{ in: source, out: name }],
    outdir: ".",
    write: false,
    bundle: true,
    ...options,
    platform: "browser",
    target: "es2022",
    minify: true,
    sourcemap: "external",
    legalComments: "none",
    mangleProps: INTERNAL,
    reserveProps: /^__/,
    mangleCache,
    logLevel: "warning",
  });
  const files = new Map(result.outputFiles.map((file) => [basename(file.path), file.text]));
  return { code: files.get(`${name}.js`), map: files.get(`${name}.js.map`), mangleCache: result.mangleCache };
}

/** Returns the console page, with its style and its script in it. The script stays readable: it is an example too. */
async function buildConsole() {
  const read = (name) => readFile(join(CONSOLE, name), "utf8");
  const script = { loader: "ts", format: "esm", target: "es2022" };
  const parts = {};
  for (const name of ["theme.css", "console.css"]) parts[name] = await read(name);
  parts["console.ts"] = (await esbuild.transform(await read("console.ts"), script)).code;
  if (Object.values(parts).some((text) => /<[/!]/.test(text))) throw new Error("the page would end inside its script");
  return (await read("console.html")).replace(/\/\* (\w+\.\w+) \*\//g, (_, name) => `\n${parts[name]}`);
}

/**
 * Builds every bundle into `outdir` and returns the names of the files written.
 *
 * `packaged`: for the npm package. Each script ends with a comment that names its source map, where the hub sends a
 * header, and there is no console page.
 */
export async function build(outdir, packaged = false) {
  const files = new Map();
  // Passed from bundle to bundle, so that an internal member has the same short name in all of them.
  let mangleCache = await plainNames();
  for (const entry of packaged ? [...BUNDLES, ...PACKAGE_BUNDLES] : BUNDLES) {
    const name = `${entry.name}.js`;
    const bundled = await bundle(entry, mangleCache);
    mangleCache = bundled.mangleCache;
    const { code, map } = await minify(bundled.code, {
      module: true,
      compress: { ecma: 2020, passes: 3, inline: 1, hoist_funs: true, pure_getters: true, unsafe_arrows: true },
      // From the TypeScript sources to the final code.
      sourceMap: { content: bundled.map, filename: name, ...(packaged && { url: `${name}.map` }) },
    });
    files.set(name, code + "\n");
    files.set(`${name}.map`, map + "\n");
  }
  if (!packaged) files.set("console.html", await buildConsole());
  await mkdir(outdir, { recursive: true });
  for (const [name, contents] of files) await writeFile(join(outdir, name), contents);
  return [...files.keys()];
}

if (resolve(argv[1] ?? "") === fileURLToPath(import.meta.url)) {
  const packaged = argv[2];
  await build(packaged ? resolve(packaged) : STATIC, packaged !== undefined);
}
