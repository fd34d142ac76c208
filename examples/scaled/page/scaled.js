import { button, make } from "./panel/dom.js";
import { clock } from "./panel/words.js";
import { Counter } from "./counter.js";

/** Two channels for each. */
const TRANSPORTS = ["websocket", "sse", "longpoll"];
/** How often a channel counts, in ms. */
const INTERVAL = 200;
const KEPT = 100;

const $ = (id) => document.getElementById(id);
const counters = [...TRANSPORTS, ...TRANSPORTS].map((one, index) => new Counter(`Channel ${index + 1}`, [one]));
/** The workers that were ever home or edge of a channel. */
const known = new Set();

function log(who, text) {
  const what = make("p", {}, make("b", { textContent: who }), ` ${text}`);
  $("log").prepend(make("li", {}, make("time", { textContent: clock() }), what));
  while ($("log").children.length > KEPT) $("log").lastElementChild.remove();
}

/** Kills a worker by a message to it: of a channel whose home it is. */
function kill(worker) {
  log("you", `killed worker ${worker}`);
  counters.find(({ home }) => home === worker)?.kill();
}

/** Lists the workers: for each, whose home it is, and whose edge. */
let shown = "";
function showWorkers() {
  for (const { home, edge } of counters) for (const pid of [home, edge]) if (pid) known.add(pid);
  const state = JSON.stringify(counters.map(({ home, edge, mayKill }) => [home, edge, mayKill]));
  if (state === shown) return;
  shown = state;
  const namesOf = (role, pid) => counters.filter((one) => one[role] === pid).map(({ name }) => name.split(" ")[1]);
  $("workers").replaceChildren(
    ...[...known].map((pid) => {
      const [homes, edges] = [namesOf("home", pid), namesOf("edge", pid)];
      const unused = homes.length + edges.length === 0;
      const mayKill = homes.length > 0 && counters.some(({ home, mayKill }) => home === pid && mayKill);
      return make(
        "li",
        { className: unused ? "unused" : "" },
        make("b", { textContent: `worker ${pid}` }),
        make("p", { textContent: unused ? "nobody is here now" : `home of ${homes.join(", ") || "nobody"}` }),
        make("p", { textContent: unused ? "" : `edge of ${edges.join(", ") || "nobody"}` }),
        button(`Kill worker ${pid}`, () => kill(pid), { disabled: !mayKill }),
      );
    }),
  );
}

for (const counter of counters) {
  $("counters").append(counter.element);
  counter.addEventListener("change", showWorkers);
  counter.addEventListener("happened", ({ text }) => log(counter.name, text));
}

setInterval(() => counters.forEach((counter) => counter.count()), INTERVAL);

$("cut").addEventListener("click", () => {
  log("you", "cut all connections: the next ones may reach other workers");
  for (const counter of counters) counter.cut();
});
