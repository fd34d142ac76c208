// Writes the declarations of the npm package: `node declarations.mjs OUTDIR`, one file for each entry point.
//
// tsc writes a file for each module. Of these, users need what an entry point exports and the types that it refers to;
// they are collected here, so that nothing internal is published, or resolved by a consumer's compiler.
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = dirname(fileURLToPath(import.meta.url));

/** The entry points. A declaration is written into the first one that needs it; later ones import it from there. */
const ENTRIES = ["index", "reload", "react", "websocket"];
/** The entry points that add to the global scope, and refer to other entry points only. */
const GLOBAL_ENTRIES = ["global", "websocket_global"];

/** A statement at the top level of a module, with its comment: tsc indents what is within one. */
const STATEMENT = /(?:^\/\*\*[^]*?\*\/\n)?^[a-z][^]*?(?=^[/a-z]|(?![^]))/gm;
const COMMENT = /\/\*[^]*?\*\//g;
const DECLARED = /^(?:export )?(?:declare )?(?:class|function|const|interface|type) (\w+)/m;
const NAMES_FROM = /^(import|export) (?:type )?\{ (.*) \} from "\.\/(.*)\.ts";/;

/** Returns the names that a module declares, each with its text, and those that it imports or exports again. */
async function readModule(folder, name) {
  const declared = new Map();
  const foreign = new Map();
  const exported = [];
  for (const [statement] of (await readFile(join(folder, `${name}.d.ts`), "utf8")).matchAll(STATEMENT)) {
    const from = NAMES_FROM.exec(statement);
    const own = DECLARED.exec(statement)?.[1];
    if (from) {
      const [, verb, names, module] = from;
      for (const each of names.split(", ")) foreign.set(each, module);
      if (verb === "export") exported.push(...names.split(", "));
    } else if (own) {
      // Overloads of a function are one declaration.
      declared.set(own, (declared.get(own) ?? "") + statement);
      if (/^export /m.test(statement) && !exported.includes(own)) exported.push(own);
    }
  }
  return { declared, foreign, exported };
}

/** Returns `text` as an `export`, or as a declaration that only this file sees. */
const emit = (text, isExported) =>
  text.replace(
    /^(?:export )?(?:declare )?(class|function|const|interface|type) /gm,
    (_, kind) => (isExported ? "export " : "") + (/^[it]/.test(kind) ? "" : "declare ") + kind + " ",
  );

/** Returns the declaration file of each entry point, from the files that tsc wrote into `folder`. */
async function bundle(folder) {
  const files = new Map();
  /** The file in which each declaration is, by its name. */
  const homes = new Map();
  for (const entry of ENTRIES) {
    const { exported } = await readModule(folder, entry);
    const imported = new Map();
    const texts = [];
    const add = async (name, moduleName) => {
      const { declared, foreign } = await readModule(folder, moduleName);
      if (foreign.has(name)) return add(name, foreign.get(name));
      if (!declared.has(name)) return;
      const home = homes.get(name) ?? entry;
      homes.set(name, home);
      if (home !== entry) imported.set(name, home);
      if (home !== entry || texts.some(([known]) => known === name)) return;
      texts.push([name, emit(declared.get(name), exported.includes(name))]);
      for (const other of declared.get(name).replace(COMMENT, "").match(/\b[A-Za-z]\w*/g)) await add(other, moduleName);
    };
    for (const name of exported) await add(name, entry);
    const imports = [...imported].map(([name, home]) => `import type { ${name} } from "./${home}.js";\n`);
    // Without `export {}`, a declaration file exports everything in it.
    files.set(`${entry}.d.ts`, [...imports, ...texts.map(([, text]) => text), "export {};\n"].join(""));
  }
  return files;
}

/** Writes the declarations of the npm package into `outdir`. */
export async function writeDeclarations(outdir) {
  await mkdir(join(ROOT, ".build"), { recursive: true });
  const folder = await mkdtemp(join(ROOT, ".build", "types-"));
  try {
    const tsc = join(ROOT, "node_modules", ".bin", "tsc");
    const { status } = spawnSync(tsc, ["-p", "tsconfig.src.json", "--outDir", folder], { cwd: ROOT, stdio: "inherit" });
    if (status !== 0) throw new Error("tsc failed");
    await rm(outdir, { recursive: true, force: true });
    await mkdir(outdir, { recursive: true });
    for (const [name, text] of await bundle(folder)) await writeFile(join(outdir, name), text);
    for (const name of GLOBAL_ENTRIES) {
      const text = await readFile(join(folder, `${name}.d.ts`), "utf8");
      await writeFile(join(outdir, `${name}.d.ts`), text.replaceAll('.ts"', '.js"'));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

if (resolve(argv[1] ?? "") === fileURLToPath(import.meta.url)) await writeDeclarations(resolve(argv[2]));
