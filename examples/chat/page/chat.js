import { Channel } from "./channel/client.js";
import { button, make } from "./panel/dom.js";
import { List } from "./panel/list.js";
import { PlainSocket } from "./panel/plain.js";
import { stage } from "./panel/stage.js";
import { clock, fateInWords } from "./panel/words.js";

const GUESTS = ["Ada", "Alan", "Barbara", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Katherine", "Radia"];

const $ = (id) => document.getElementById(id);
const channel = new Channel("channel");
const plain = new PlainSocket("plain");

// The user's name: one per tab.
$("name").value = sessionStorage.getItem("name") ?? GUESTS[Math.floor(Math.random() * GUESTS.length)];

/** Tells the server the name: it is forgotten with the session. */
const join = () => {
  sessionStorage.setItem("name", $("name").value);
  channel.send({ name: $("name").value }).catch(() => {}); // the event `reset` tells
};

/** The user's lines that have not come back from the server, by key. */
const unconfirmed = new Map();

function view(element, side) {
  const people = make("p", { className: "people" });
  element.append(people);
  const list = new List(element);
  return {
    show(message, { recovered }) {
      if (message.here) {
        people.textContent = [`${message.here.length} here`, message.here.join(", ")].filter(Boolean).join(": ");
        return;
      }
      if (side === "ours") {
        unconfirmed.get(message.key)?.remove();
        unconfirmed.delete(message.key);
      }
      list.append(lineOf(message.name, message.text, clock(new Date(message.at * 1000))), recovered);
    },
    markMissing: (count) => list.markMissing(count),
    clear: () => list.clear(),
  };
}

function lineOf(name, text, time) {
  const head = make("p", { className: "head" }, make("b", { textContent: name }), make("time", { textContent: time }));
  return make("li", { className: "line" }, head, make("p", { className: "text", textContent: text }));
}

const panes = stage({ channel, plain, view });

/** Sends a line. Until it comes back, it is below the conversation, with what is known about it. */
function say(text) {
  const key = Math.random().toString(36).slice(2);
  const status = make("p", { className: "status", textContent: "not yet delivered" });
  const line = lineOf($("name").value, text, clock());
  line.classList.add("own");
  line.append(status);
  unconfirmed.set(key, line);
  const content = panes.ours.element.querySelector(".content");
  content.append(line);
  content.scrollTop = content.scrollHeight;
  // Settles once the server's handler has finished with the message.
  channel.send({ text, key }).catch(({ fate }) => {
    const again = button("Send again", () => {
      line.remove();
      unconfirmed.delete(key);
      say(text);
    });
    status.replaceChildren(`${fateInWords(fate)} `, again);
  });
}

channel.addEventListener("reset", join);
$("name").addEventListener("change", join);
$("robot").addEventListener("click", () => channel.send({ robot: 20 }).catch(() => {}));
$("scene").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  $("text").value = "";
  if (text) say(text);
});
join();
