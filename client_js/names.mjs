// Finds short names for the private properties, with which the client compresses best: `node names.mjs [tries] [seed]`, after
// a change that made it too large. It goes on from names.json, and writes what it found there.
//
// Two names are swapped, or one is replaced, and what makes the file smaller is kept. The search is seeded: the same
// sources and names give the same result.
import { readFile, writeFile } from "node:fs/promises";
import { argv } from "node:process";
import { BUNDLES, NAMES, gzipped, minified } from "./build.mjs";

const tries = Number(argv[2] ?? 20000);
/** Bytes that a step may make it larger, by and large, at the beginning. */
const WARMTH = 0.3;
const client = BUNDLES[0];

// With every name there is, also of bundles that hold more than the client.
let all = JSON.parse(await readFile(NAMES, "utf8"));
for (const bundle of BUNDLES) all = (await minified(bundle, all)).names;
const used = Object.keys((await minified(client, {})).names);
const names = Object.fromEntries(used.map((property) => [property, all[property]]));

// The code with a mark in the place of each name: as good as built anew, and a thousand times faster.
const mark = (index) => `zq${String(index).padStart(3, "0")}q`;
const { code } = await minified(client, Object.fromEntries(used.map((property, index) => [property, mark(index)])));
const parts = code.split(/zq(\d{3})q/);
const sizeWith = (short) => gzipped(parts.map((part, at) => (at % 2 ? short[Number(part)] : part)).join("") + "\n");

const LETTERS = [..."abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"];
const taken = new Set([...code.matchAll(/[.{,]([a-zA-Z]{1,2})\b/g)].map(([, name]) => name));
const free = [...LETTERS, "$", ...LETTERS.flatMap((first) => LETTERS.map((second) => first + second))].filter(
  (name) => !taken.has(name) && !["as", "do", "if", "in", "is", "of"].includes(name),
);

let seed = Number(argv[3] ?? 1);
const random = (below) => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % below;

let now = used.map((property) => names[property]);
let size = sizeWith(now);
let [best, least] = [now, size];
console.log(`${used.length} names, ${least} bytes`);
for (let at = 0; at < tries; at++) {
  const next = [...now];
  const one = random(next.length);
  const name = random(3) ? next[random(next.length)] : free[random(free.length)];
  const other = next.indexOf(name);
  if (other >= 0) next[other] = next[one];
  next[one] = name;
  const found = sizeWith(next);
  // Simulated annealing: at first also what makes it a little larger, later only what does not.
  if (found > size - WARMTH * (1 - at / tries) * Math.log(random(1e6) / 1e6 + 1e-9)) continue;
  [now, size] = [next, found];
  if (size <= least) [best, least] = [next, size];
}
console.log(`${least} bytes after ${tries} tries`);
const chosen = Object.fromEntries(used.map((property, index) => [property, best[index]]).sort());
await writeFile(NAMES, JSON.stringify(chosen, null, 1) + "\n");
