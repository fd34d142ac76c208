// Prints what each subpath of the package exports, to `import` and to `require`, and what its scripts define.
import { createRequire } from "node:module";
import manifest from "onechannel/package.json" with { type: "json" };

const require = createRequire(import.meta.url);
const subpaths = Object.keys(manifest.exports).filter((subpath) => subpath !== "./package.json");
const found = {};
for (const subpath of subpaths) {
  const name = subpath.replace(".", manifest.name);
  found[subpath] = [Object.keys(await import(name)), Object.keys(require(name))];
  if (subpath.endsWith("/global")) found[`onechannel of ${subpath}`] = Object.keys(globalThis.onechannel);
}
console.log(JSON.stringify(found));
