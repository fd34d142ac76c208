import { Channel } from "./channel/client.js";
import { acrossReloads } from "./channel/reload.js";
import { make } from "./panel/dom.js";
import { List } from "./panel/list.js";
import { PlainSocket } from "./panel/plain.js";
import { stage } from "./panel/stage.js";

// The page's name, by which its plain WebSocket gets the same events. Like the session, it outlives a reload.
const page = sessionStorage.getItem("job page") ?? Math.random().toString(36).slice(2);
sessionStorage.setItem("job page", page);

const channel = await acrossReloads(Channel, "channel");
// After every `await`, because its messages do not wait for a listener.
const plain = new PlainSocket(`plain?page=${page}`);

function view(element) {
  const bar = make("progress", { max: 1, value: 0 });
  const status = make("output", { textContent: "no job yet" });
  element.append(make("p", { className: "job" }, bar, status));
  const list = new List(element);
  return {
    show({ done, of, text }, { recovered }) {
      bar.value = done / of;
      status.textContent = /^step/.test(text) ? `running: ${done} of ${of}` : `${text}: ${done} of ${of}`;
      list.append(make("li", { textContent: text }), recovered);
    },
    markMissing: (count) => list.markMissing(count),
    clear() {
      bar.value = 0;
      status.textContent = "no job: it ended with its session";
      list.clear();
    },
  };
}

stage({ channel, plain, view, keptAs: "job panes" });

const introduce = () => channel.send({ page }).catch(() => {}); // the event `reset` tells
channel.addEventListener("reset", introduce);
introduce();

document.getElementById("scene").addEventListener("submit", (event) => {
  event.preventDefault();
  channel.send("start").catch(() => {});
});
document.getElementById("cancel").addEventListener("click", () => channel.send("cancel").catch(() => {}));
