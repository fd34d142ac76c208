import { Channel } from "./chat/client.js";

const NAMES = { websocket: "WebSocket", sse: "SSE", longpoll: "long polling" };
const ALL = ["websocket", "sse", "longpoll"];
const AWAY = 10;

const $ = (id) => document.getElementById(id);

/** Makes an element. Its text is set as text, never as HTML. */
function make(tag, { text, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", "#" + name);
  svg.append(use);
  return svg;
}

const mint = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const clock = (date, options) => date.toLocaleTimeString([], options);
const count = (number, one, many = one + "s") => `${number} ${number === 1 ? one : many}`;

// The user's name: one per tab.
const GUESTS = ["Ada", "Alan", "Barbara", "Claude", "Donald", "Edsger", "Frances", "Grace", "Hedy", "Ida", "Katherine", "Radia"];
let me = sessionStorage.getItem("name") ?? GUESTS[Math.floor(Math.random() * GUESTS.length)];
$("name").value = me;

const channel = new Channel("chat");
// The first message of each session gives the user's name.
const join = () => channel.send({ name: me });
join();

// The conversation

/** The messages on the page by key; `late`: sent, or still pending, while there was no connection. */
const shown = new Map();
/** The user's messages that the server has not put in order yet, oldest first. */
const waiting = new Set();
/** How many messages the page keeps. */
const SHOWN = 500;

const scroll = $("scroll");
const list = $("messages");
const atBottom = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;

/** Changes the list. If it was scrolled to the end, it stays there. */
function change(how, always = false) {
  const bottom = always || atBottom();
  how();
  if (bottom) scroll.scrollTop = scroll.scrollHeight;
  else $("newer").hidden = false;
}

/** Puts confirmed messages in the server's order, and unconfirmed ones after them. */
function place(item) {
  const behind = item.nextElementSibling;
  const [first] = [...waiting].filter((other) => other !== item);
  list.insertBefore(item, first ?? null);
  for (const each of [item, item.nextElementSibling, behind]) {
    const before = each?.previousElementSibling;
    each?.classList.toggle("follows", !!each.dataset.from && before?.dataset.from === each.dataset.from);
  }
  while (list.children.length > SHOWN) {
    shown.delete(list.firstElementChild.dataset.key);
    list.firstElementChild.remove();
  }
  $("empty").hidden = true;
}

function hue(name) {
  let sum = 7;
  for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 360;
  return sum;
}

function bubble({ from, text, at, key }, own) {
  const avatar = make("span", { className: "avatar", text: [...from][0]?.toUpperCase() ?? "?", ariaHidden: "true" });
  avatar.style.setProperty("--hue", hue(from));
  const time = make("time", { text: clock(new Date(at * 1000), { hour: "2-digit", minute: "2-digit" }) });
  const who = make("p", { className: "from", text: own ? "You" : from });
  const what = make("p", { className: "text", text });
  const body = make("div", { className: "body" }, who, what, make("p", { className: "meta" }, time));
  const item = make("li", { className: own ? "message own" : "message" }, avatar, body);
  Object.assign(item.dataset, { key, from: own ? "/me" : from });
  return item;
}

function markRecovered(item, why) {
  if (item.dataset.recovered) return;
  item.dataset.recovered = "yes";
  item.querySelector(".meta").append(make("span", { className: "recovered", title: why }, icon("recovered"), "recovered"));
}

function setStatus(item, state, ...content) {
  item.dataset.state = state;
  item.querySelector(".status")?.remove();
  const names = { pending: "sending", sent: "delivered", failed: "" };
  const label = make("span", { className: content.length ? "" : "visually-hidden", text: names[state] });
  item.querySelector(".meta").append(make("span", { className: "status" }, icon(state), label, ...content));
}

const FATES = {
  not_handled: "Not delivered",
  unknown: "This may not have arrived",
};

function deliver(entry, text) {
  const { item } = entry;
  const { key } = item.dataset;
  entry.late = channel.state === "recovering" || channel.state === "suspended";
  setStatus(item, "pending");
  waiting.add(item);
  change(() => place(item), true);
  // Settles once the server's handler has finished with the message.
  channel.send({ text, key }).then(
    () => delivered(entry),
    (error) => {
      waiting.delete(item);
      if (item.dataset.state === "sent") return;
      const again = make("button", { type: "button", className: "link", text: "Send again" });
      again.addEventListener("click", () => deliver(entry, text));
      change(() => setStatus(item, "failed", `${FATES[error.fate]}: ${error.message}. `, again));
    },
  );
  refresh();
}

function delivered({ item, late }) {
  setStatus(item, "sent");
  if (late) markRecovered(item, "Sent while this page had no connection");
  refresh();
}

function say(text) {
  const entry = { item: bubble({ from: me, text, at: Date.now() / 1000, key: mint() }, true), late: false };
  shown.set(entry.item.dataset.key, entry);
  deliver(entry, text);
}

channel.addEventListener("message", ({ data, recovered }) => {
  if (data.news !== undefined) {
    $("people").textContent = `${data.people} here`;
    change(() => place(make("li", { className: "news", text: data.news })));
    return;
  }
  const known = shown.get(data.key);
  if (known?.item.classList.contains("own")) {
    // The echo of the user's own message gives its place in the order, and proves that it arrived.
    waiting.delete(known.item);
    if (known.item.dataset.state === "failed") delivered(known);
    change(() => place(known.item));
  } else if (!known) {
    const item = bubble(data, false);
    if (recovered) markRecovered(item, "Sent while this page had no connection");
    shown.set(data.key, { item, late: false });
    change(() => place(item));
  }
});

// The log

const REASONS = {
  reconnect: "cut by you",
  forbidden: "its transport was forbidden",
  drain: "the server asked this page to reconnect",
  silent: "nothing more arrived",
  mute: "something is buffering its messages",
  replaced: "another connection took over",
  superseded: "another connection answered first",
  "not needed": "a better transport had answered",
};

const ENDS = {
  restarted: "the server has restarted",
  expired: "this page was away for too long",
  unknown: "the server does not know it",
  overflow: "too many messages were waiting for this page",
};

function log(kind, text, detail = "") {
  const now = new Date();
  const time = make("time", { text: clock(now, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }), dateTime: now.toISOString() });
  const entry = make("li", {}, time, make("p", { text }, ...(detail ? [make("small", { text: detail })] : [])));
  entry.dataset.kind = kind;
  $("timeline").prepend(entry);
  while ($("timeline").children.length > 100) $("timeline").lastElementChild.remove();
  refresh();
}

channel.addEventListener("open", () => log("open", "A session was opened", `its public ID is ${channel.id}`));
channel.addEventListener("transport", ({ transport }) => log("transport", transport ? `Connected over ${NAMES[transport]}` : "No transport"));
function markLate() {
  for (const entry of shown.values()) entry.late ||= entry.item.dataset.state === "pending";
}

channel.addEventListener("suspended", markLate);
channel.addEventListener("recovering", ({ reason }) => {
  markLate();
  log("recovering", "The connection was lost", REASONS[reason] ?? reason);
});
channel.addEventListener("resumed", ({ replayed }) =>
  log("resumed", "The session was resumed", replayed ? `${count(replayed, "missed message")} came after` : "nothing was missed"),
);
channel.addEventListener("reset", ({ reason, lost, sends }) => {
  join();
  const missed = lost === null ? "it is unknown what was missed" : lost.length ? `${count(lost[1] - lost[0] + 1, "message")} missed` : "nothing was missed";
  const own = sends.filter(({ message, fate }) => message?.key && fate !== "handled").length;
  log("reset", `The session was lost: ${ENDS[reason] ?? reason}`, own ? `${missed}; ${count(own, "message")} of yours marked as failed` : missed);
});
channel.addEventListener("close", ({ code, reason }) => {
  log("close", "The channel was closed", [code, reason].filter(Boolean).join(" "));
  $("text").disabled = true;
  $("text").placeholder = "The channel was closed: reload the page";
});

/** Shows everything that has no event: the state, the attempts and the counts. */
function refresh() {
  const { state, transport } = channel;
  const badge = $("badge");
  if (badge.dataset.state !== state || badge.dataset.transport !== (transport ?? "")) {
    Object.assign(badge.dataset, { state, transport: transport ?? "" });
    $("state").textContent = state;
    $("transport").textContent = transport ? NAMES[transport] : "";
  }
  $("attempts").replaceChildren(
    ...channel
      .explain()
      .slice(-5)
      .reverse()
      .map(({ transport, outcome, reason, milliseconds }) => {
        const took = outcome === "pending" ? "" : `${Math.max(1, Math.round(milliseconds))} ms`;
        const what = { lost: "was open", left: "was abandoned" }[outcome] ?? outcome;
        const detail = [what, took, REASONS[reason] ?? reason].filter(Boolean).join(", ");
        const item = make("li", {}, make("b", { text: NAMES[transport] }), ` ${detail}`);
        item.dataset.outcome = outcome;
        return item;
      }),
  );
  const { sent, acknowledged, received, replayed, reconnects } = channel.statistics();
  const figures = { sent, acknowledged, received, replayed, reconnects };
  $("figures").replaceChildren(
    ...Object.entries(figures).map(([name, value]) => make("div", {}, make("dt", { text: name }), make("dd", { text: value }))),
  );
}

// Controls

function grow() {
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight}px`;
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  $("text").value = "";
  grow();
  say(text);
  $("text").focus();
});
$("text").addEventListener("input", grow);
$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

$("name").addEventListener("change", () => {
  const name = $("name").value.trim().replace(/\s+/g, " ");
  $("name").value = name || me;
  if (!name || name === me) return;
  me = name;
  sessionStorage.setItem("name", me);
  join();
});

/** The timer of the countdown while the user is away. */
let away;

const switches = [...document.querySelectorAll("[data-forbids]")];
for (const each of switches) {
  each.addEventListener("change", () => {
    const forbidden = switches.filter(({ checked }) => checked).map(({ dataset }) => dataset.forbids);
    const allowed = ALL.filter((name) => !forbidden.includes(name));
    // The channel leaves a forbidden transport, and moves to a better one, on its own.
    channel.transports = allowed;
    refresh();
  });
}

$("cut").addEventListener("click", () => {
  channel.reconnect();
  refresh();
});

function comeBack() {
  clearInterval(away);
  away = undefined;
  $("away").textContent = `Go away for ${AWAY} s`;
  $("cut").disabled = false;
  log("resume", "You came back");
  channel.resume();
  refresh();
}

$("away").addEventListener("click", () => {
  if (away !== undefined) return comeBack();
  let left = AWAY;
  const tick = () => {
    if (left === 0) return comeBack();
    $("away").textContent = `Come back now (${left--} s)`;
  };
  away = setInterval(tick, 1000);
  tick();
  $("cut").disabled = true;
  channel.suspend();
  log("suspend", `You went away for ${AWAY} s`);
});

$("toggle").addEventListener("click", () => {
  const open = $("panel").classList.toggle("open");
  $("toggle").setAttribute("aria-expanded", open);
});
$("newer").addEventListener("click", () => scroll.scrollTo({ top: scroll.scrollHeight, behavior: "smooth" }));
let following = true;
scroll.addEventListener("scroll", () => {
  following = atBottom();
  if (following) $("newer").hidden = true;
});
// A phone's keyboard shrinks the page: keep the end of the conversation in view.
new ResizeObserver(() => {
  if (following) scroll.scrollTop = scroll.scrollHeight;
}).observe(scroll);

// A page that unloads for good closes its session, which would otherwise wait for it to return.
addEventListener("pagehide", ({ persisted }) => {
  if (!persisted) channel.close();
});

setInterval(refresh, 500);
refresh();
