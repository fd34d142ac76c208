import { Channel } from "./channel/client.js";
import { button, make } from "./panel/dom.js";
import { List } from "./panel/list.js";
import { PlainSocket } from "./panel/plain.js";
import { stage } from "./panel/stage.js";
import { clock, count } from "./panel/words.js";

const USERS = ["Ann", "Ben"];

const $ = (id) => document.getElementById(id);
const post = (path, body) =>
  fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

/** Signs in, by a cookie, and loads the page again. */
const signIn = (user) => post(`sign-in/${user}`).then(() => location.reload());

function view(element) {
  const total = make("p", { className: "unread", textContent: "no notification" });
  element.append(total);
  const list = new List(element);
  let unread = 0;
  return {
    show({ sender, text, at }, { recovered }) {
      total.textContent = count(++unread, "notification");
      const time = make("time", { textContent: clock(new Date(at * 1000)) });
      const head = make("p", { className: "head" }, make("b", { textContent: `from ${sender}` }), time);
      list.append(make("li", {}, head, make("p", { className: "text", textContent: text })), recovered);
    },
    markMissing: (number) => list.markMissing(number),
    clear() {
      unread = 0;
      total.textContent = "no notification";
      list.clear();
    },
  };
}

/** Shows a button for each user, to sign in as. */
function showSignIn() {
  const buttons = USERS.map((user) => button(`Sign in as ${user}`, () => signIn(user)));
  $("scene").replaceChildren(...buttons);
  $("panes").append(make("p", { className: "welcome", textContent: "Sign in: a cookie tells the server who you are." }));
  $("panel").hidden = true;
}

function showInbox(user) {
  const channel = new Channel("channel");
  stage({ channel, plain: new PlainSocket("plain"), view });
  $("title").textContent = `Inbox of ${user}`;
  $("to").value = user;
  const other = USERS.find((name) => name !== user);
  $("other").textContent = `Sign in as ${other}`;
  $("other").addEventListener("click", () => signIn(other));
  $("scene").addEventListener("submit", (event) => {
    event.preventDefault();
    post(`notify/${$("to").value}`, { text: $("text").value });
  });
}

const user = await fetch("user").then((answer) => answer.json());
if (user) showInbox(user);
else showSignIn();
