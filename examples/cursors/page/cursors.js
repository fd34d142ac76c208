import { Channel } from "./channel/client.js";
import { Board } from "./board.js";
import { make } from "./panel/dom.js";
import { PlainSocket } from "./panel/plain.js";
import { stage } from "./panel/stage.js";

/** The shortest time between two positions of this page's cursor, in ms. */
const INTERVAL = 80;

const channel = new Channel("channel");
const plain = new PlainSocket("plain");
const nameOf = (cursor) => (cursor === channel.id ? "you" : cursor === "robot" ? "robot" : `guest ${cursor.slice(0, 3)}`);

function view(element) {
  const people = make("p", { className: "people" });
  const board = new Board(nameOf);
  element.append(people, board.element);
  return {
    show({ here, cursor, x, y }, { recovered }) {
      if (here) {
        people.textContent = [`${here.length} here`, here.map(nameOf).join(", ")].filter(Boolean).join(": ");
        board.keep([...here, "robot"]);
      } else board.move(cursor, x, y, recovered);
    },
    markMissing: () => board.interrupt(),
    clear: () => board.keep([]),
  };
}

const panes = stage({ channel, plain, view });

let latest = 0;
for (const { element } of Object.values(panes)) {
  const board = element.querySelector(".board");
  board.addEventListener("pointermove", ({ clientX, clientY }) => {
    const now = performance.now();
    // While there is no connection, positions would only pile up.
    if (now - latest < INTERVAL || channel.state !== "open") return;
    latest = now;
    const { left, top, width, height } = board.getBoundingClientRect();
    channel.send({ x: (clientX - left) / width, y: (clientY - top) / height }).catch(() => {});
  });
}
