// Prints what each subpath of the package exports, to `import` and to `require`, and what its script defines.
import { createRequire } from "node:module";
import manifest from "onechannel/package.json" with { type: "json" };

const require = createRequire(import.meta.url);
const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== "./package.json");
const found = {};
for (const subpath of subpaths) {
  const name = subpath.replace(".", manifest.name);
  found[subpath] = [Object.keys(await import(name)), Object.keys(require(name))];
}
console.log(JSON.stringify({ ...found, onechannel: Object.keys(globalThis.onechannel) }));
