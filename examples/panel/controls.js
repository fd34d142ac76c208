import { button, make } from "./dom.js";
import { NAMES } from "./words.js";

const AWAY = 10;
const ALL = Object.keys(NAMES);

/** Builds the switches and buttons that disturb both connections. */
export function controls(channel, plain, log) {
  const hindrance = new Hindrance(plain);
  const cut = button("Cut connections", () => {
    log.add("you", "cut", "cut both connections");
    plain.cut();
    channel.reconnect();
  });
  return [
    make("fieldset", {}, make("legend", { textContent: "Forbid" }), make("div", {}, ...switches(channel, hindrance))),
    make(
      "div",
      { className: "buttons" },
      cut,
      awayButton(channel, hindrance, log, cut),
      button("Reload page", () => location.reload()),
      button("Restart server", () => restart(log)),
    ),
  ];
}

/** What keeps the plain WebSocket closed. */
class Hindrance {
  #plain;
  #causes = { away: false, forbidden: false };

  constructor(plain) {
    this.#plain = plain;
  }

  set(cause, applies) {
    this.#causes[cause] = applies;
    const state = Object.keys(this.#causes).find((name) => this.#causes[name]);
    if (state) this.#plain.stop(state);
    else this.#plain.connect();
  }
}

/** One switch for each transport. The last one that is allowed cannot be forbidden. */
function switches(channel, hindrance) {
  const boxes = ALL.map((name) => make("input", { type: "checkbox", name, autocomplete: "off" }));
  const update = () => {
    const allowed = boxes.filter(({ checked }) => !checked).map(({ name }) => name);
    for (const box of boxes) box.disabled = allowed.length === 1 && !box.checked;
    // The channel leaves a transport that is forbidden, and moves to a better one, by itself.
    channel.transports = allowed;
    hindrance.set("forbidden", !allowed.includes("websocket"));
  };
  for (const box of boxes) box.addEventListener("change", update);
  return boxes.map((box) => make("label", {}, box, make("span", { textContent: NAMES[box.name] })));
}

/** Takes both connections away, until it is pressed again or the time is over. Meanwhile `cut` has no use. */
function awayButton(channel, hindrance, log, cut) {
  let timer;
  let left = 0;
  const element = button("", () => setAway(!timer));
  const showLabel = () => (element.textContent = timer ? `Come back (${left} s)` : `Go away for ${AWAY} s`);
  function setAway(isAway) {
    left = AWAY;
    clearInterval(timer);
    timer = isAway ? setInterval(tick, 1000) : undefined;
    cut.disabled = isAway;
    log.add("you", "away", isAway ? "went away: both connections are closed" : "came back");
    hindrance.set("away", isAway);
    if (isAway) channel.suspend();
    else channel.resume();
    showLabel();
  }
  function tick() {
    left--;
    if (left > 0) showLabel();
    else setAway(false);
  }
  showLabel();
  return element;
}

/** Asks the demo's server to restart. A scene that runs alone has nobody to ask. */
async function restart(log) {
  const answer = await fetch("/restart", { method: "POST" }).catch(() => undefined);
  let text = "restarted the server";
  if (!answer) text = "could not restart the server: it does not answer";
  else if (!answer.ok) text = "could not restart the server: only `make demo` can do that";
  log.add("you", "restart", text);
}
