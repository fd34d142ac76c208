import { make } from "./panel/dom.js";
import { clock } from "./panel/words.js";
import { Guest } from "./guest.js";

const ROBOTS = 5;
/** How often a robot says a line, in ms. */
const INTERVAL = 1000;
const KEPT = 100;

const $ = (id) => document.getElementById(id);
const you = new Guest("You");
const robots = Array.from({ length: ROBOTS }, (_, index) => new Guest(`Robot ${index + 1}`));
const guests = [you, ...robots];
/** The workers that were ever home or edge of a guest. */
const known = new Set();

function add(list, ...children) {
  list.prepend(make("li", {}, make("time", { textContent: clock() }), make("p", {}, ...children)));
  while (list.children.length > KEPT) list.lastElementChild.remove();
}

/** Lists the workers: for each, whose home it is, and whose edge. */
function showWorkers() {
  for (const { home, edge } of guests) for (const pid of [home, edge]) if (pid) known.add(pid);
  const namesOf = (role, pid) => guests.filter((guest) => guest[role] === pid).map(({ name }) => name);
  $("workers").replaceChildren(
    ...[...known].map((pid) => {
      const [homes, edges] = [namesOf("home", pid), namesOf("edge", pid)];
      const unused = homes.length + edges.length === 0;
      return make(
        "li",
        { className: unused ? "unused" : "" },
        make("b", { textContent: `worker ${pid}` }),
        make("p", { textContent: unused ? "nobody is here now" : `home of ${homes.join(", ") || "nobody"}` }),
        make("p", { textContent: unused ? "" : `edge of ${edges.join(", ") || "nobody"}` }),
      );
    }),
  );
  $("kill").disabled = !you.mayKill;
  $("kill").title = you.mayKill ? "" : "Start the server on this machine, with --workers 4";
}

for (const guest of guests) {
  $("guests").append(guest.element);
  guest.addEventListener("change", showWorkers);
  guest.addEventListener("happened", ({ text }) => add($("log"), make("b", { textContent: guest.name }), ` ${text}`));
}
you.addEventListener("line", ({ text }) => add($("lines"), text));

let said = 0;
setInterval(() => {
  said++;
  // A line that is lost with a session is not said again: the event `reset` tells.
  for (const robot of robots) robot.say(`${robot.name}: line ${said}`).catch(() => {});
}, INTERVAL);

/** Begins to watch what follows from what the user does. */
function disturb(text) {
  for (const guest of guests) guest.forget();
  add($("log"), make("b", { textContent: "you" }), ` ${text}`);
}

$("kill").addEventListener("click", () => {
  disturb(`killed worker ${you.home}`);
  you.kill();
});
$("cut").addEventListener("click", () => {
  disturb("cut all connections: the next ones may reach other workers");
  for (const guest of guests) guest.cut();
});
$("scene").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  $("text").value = "";
  if (text) you.say(`You: ${text}`).catch(() => {});
});
