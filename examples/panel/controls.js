import { button, make } from "./dom.js";
import { NAMES } from "./words.js";

const AWAY = 10;
const ALL = Object.keys(NAMES);

/** Builds the switches and buttons that disturb both connections. */
export function controls(channel, plain, log) {
  return [
    make("fieldset", {}, make("legend", { textContent: "Forbid" }), make("div", {}, ...switches(channel, plain))),
    make(
      "div",
      { className: "buttons" },
      button("Cut connections", () => {
        log.add("you", "cut", "cut both connections");
        plain.cut();
        channel.reconnect();
      }),
      awayButton(channel, plain, log),
      button("Reload page", () => location.reload()),
      button("Restart server", () => restart(log)),
    ),
  ];
}

/** One switch for each transport. The last one that is allowed cannot be forbidden. */
function switches(channel, plain) {
  const boxes = ALL.map((name) => make("input", { type: "checkbox", name, autocomplete: "off" }));
  const update = () => {
    const allowed = boxes.filter(({ checked }) => !checked).map(({ name }) => name);
    for (const box of boxes) box.disabled = allowed.length === 1 && !box.checked;
    // The channel leaves a transport that is forbidden, and moves to a better one, by itself.
    channel.transports = allowed;
    if (!allowed.includes("websocket")) plain.stop("forbidden");
    else if (plain.state === "forbidden") plain.connect();
  };
  for (const box of boxes) box.addEventListener("change", update);
  return boxes.map((box) => make("label", {}, box, make("span", { textContent: NAMES[box.name] })));
}

/** Takes both connections offline, until it is pressed again or the time is over. */
function awayButton(channel, plain, log) {
  let timer;
  let left = 0;
  const label = () => (timer ? `Come back (${left} s)` : `Go away for ${AWAY} s`);
  const element = button(label(), () => (timer ? comeBack() : leave()));
  function leave() {
    left = AWAY;
    timer = setInterval(() => (--left > 0 ? (element.textContent = label()) : comeBack()), 1000);
    element.textContent = label();
    log.add("you", "away", "went away: both connections are closed");
    if (plain.state !== "forbidden") plain.stop("away");
    channel.suspend();
  }
  function comeBack() {
    timer = clearInterval(timer);
    element.textContent = label();
    log.add("you", "back", "came back");
    if (plain.state === "away") plain.connect();
    channel.resume();
  }
  return element;
}

/** Asks the demo's server to restart. A scene that runs alone has nobody to ask. */
async function restart(log) {
  const answer = await fetch("/restart", { method: "POST" }).catch(() => undefined);
  if (answer?.ok) log.add("you", "restart", "restarted the server");
  else log.add("you", "restart", "could not restart the server: only `make demo` can do that");
}
