// The console page: a channel of this hub, tried by hand. `Hub(handler, console=True)` serves it at its own URL.
//
// It connects only when the user says so, since a link from any site can open this page for a signed-in user. What
// arrives is shown as text, never as HTML.
import type { ChannelError, ChannelOptions, Channel as OneChannel, TransportName } from "../src/index.ts";

/** How many entries the log keeps, and how many characters of a message an entry shows. */
const MAX_ENTRIES = 500;
const MAX_SHOWN = 2000;
/** Milliseconds between looks at what no event announces: counts, and attempts that are pending. */
const REFRESH_INTERVAL = 250;

const NAMES = { websocket: "WebSocket", sse: "SSE", longpoll: "long polling" } as const;
const ALL = Object.keys(NAMES) as TransportName[];

const FATES = {
  handled: "handled",
  not_handled: "not handled",
  unknown: "unknown whether it was handled",
} as const;

const STATES = {
  none: "not connected",
  connecting: "connecting",
  open: "open",
  recovering: "recovering: session kept",
  suspended: "suspended",
  closed: "closed",
} as const;

/** What may be sent, by format; throws an Error that says what is wrong. */
const PARSERS: { readonly [format: string]: (text: string) => unknown } = {
  text: (text) => text,
  json: (text) => JSON.parse(text) as unknown,
  bytes: (text) => {
    const digits = text.replace(/\s/g, "");
    if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new Error("write bytes as pairs of hexadecimal digits: 68 65 6c 6c 6f");
    return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  },
};

/** The path of this page, which is the channel's URL. Only the browser knows it: a proxy may strip a prefix. */
const mount = location.pathname.replace(/\/+$/, "");
const { Channel } = (await import(`${mount}/client.js`)) as typeof import("../src/index.ts");

const find = <Kind extends HTMLElement>(selector: string): Kind => document.querySelector<Kind>(selector)!;

/** Makes an element. Text is set as text, never as HTML. */
function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className: string,
  ...content: (string | Node)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...content);
  return element;
}

const url = find<HTMLInputElement>("#url");
const credentials = find<HTMLInputElement>("#credentials");
const format = find<HTMLSelectElement>("#format");
const message = find<HTMLTextAreaElement>("#message");
const mistake = find("#mistake");

let channel: OneChannel | undefined;
let allowed: readonly TransportName[] = ALL;

// The log

const milliseconds = (duration: number): string => `${Math.round(duration)} ms`;
const count = (number: number, one: string): string => `${number} ${one}${number === 1 ? "" : "s"}`;

/** The time of day, as all entries of the log have it: 09:05:07.123. */
function timeOfDay(date = new Date()): string {
  const parts = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0"));
  return `${parts.join(":")}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** Appends an entry, and returns it with a function that sets the note below its text. */
function log(kind: string, content: string | Node, note = ""): (note: string, isFailure?: boolean) => void {
  const scroll = find("#scroll");
  const isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 60;
  const list = find("#log");
  const small = make("small", "", note);
  const text = make("p", "", content, small);
  const item = make("li", kind, make("time", "", timeOfDay()), make("b", "", kind), text);
  list.append(item);
  while (list.children.length > MAX_ENTRIES) list.firstElementChild?.remove();
  find("#empty").hidden = true;
  if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
  return (note, isFailure = false) => {
    small.textContent = note;
    item.classList.toggle("failed", isFailure);
    if (isAtEnd) scroll.scrollTop = scroll.scrollHeight;
  };
}

/** Describes a message that was sent or received. */
function describe(data: unknown): HTMLSpanElement {
  let text: string;
  if (data instanceof Uint8Array) {
    const bytes = Array.from(data.subarray(0, MAX_SHOWN), (byte) => byte.toString(16).padStart(2, "0"));
    text = `${count(data.length, "byte")}: ${bytes.join(" ")}`;
  } else {
    text = JSON.stringify(data);
  }
  const rest = text.length - MAX_SHOWN;
  return make("span", "", rest > 0 ? `${text.slice(0, MAX_SHOWN)} (${count(rest, "more character")})` : text);
}

// The channel

function readCredentials(): unknown {
  const text = credentials.value.trim();
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function connect(): void {
  const options: ChannelOptions = { transports: allowed };
  // A function, so that what is in the field counts at each attach.
  if (credentials.value.trim()) options.credentials = readCredentials;
  try {
    channel = new Channel(url.value.trim(), options);
  } catch (error) {
    log("mistake", (error as Error).message);
    return;
  }
  log("connecting", `to ${url.value.trim()}`);
  listen(channel);
  // Makes room for the log on a phone.
  if (matchMedia("(max-width: 980px)").matches) find<HTMLDetailsElement>("#target").open = false;
  refresh();
}

function listen(channel: OneChannel): void {
  channel.addEventListener("open", () => log("open", `session ${channel.id}`));
  channel.addEventListener("transport", ({ transport }) => log("transport", `now ${NAMES[transport]}`));
  channel.addEventListener("message", ({ data, recovered }) =>
    log("received", describe(data), recovered ? "was sent while this page was cut off" : ""),
  );
  channel.addEventListener("recovering", ({ reason }) => log("recovering", `connection lost: ${reason}`));
  channel.addEventListener("suspended", () => log("suspended", "no connection until you resume"));
  channel.addEventListener("resumed", ({ replayed }) =>
    log("resumed", `the session goes on; ${replayed ? `to come: ${count(replayed, "missed message")}` : "nothing was missed"}`),
  );
  channel.addEventListener("unreachable", ({ cause, reason }) => log("unreachable", reason, `cause: ${cause}`));
  channel.addEventListener("reset", ({ reason, lost, dropped, sends }) => {
    const missed = lost ? lost.map((number) => number ?? "?").join(" to ") || "none" : "unknown";
    const notes = [`missed messages: ${missed}`, `sends not acknowledged: ${sends.length}`];
    if (dropped) notes.push(`dropped by the server: ${dropped}`);
    log("reset", `session lost: ${reason}; a new one begins`, notes.join("; "));
  });
  channel.addEventListener("close", ({ code, reason, by, wasClean }) =>
    log(
      "closed",
      `${code} ${reason}`,
      `by ${by === "app" ? "an application" : "the protocol"}; ${wasClean ? "everything" : "not everything"} was received`,
    ),
  );
  for (const type of ["statechange", "transport", "reset"]) channel.addEventListener(type, refresh);
}

function send(): void {
  let data: unknown;
  try {
    data = PARSERS[format.value]!(message.value);
  } catch (error) {
    mistake.textContent = (error as Error).message;
    return;
  }
  mistake.textContent = "";
  message.value = "";
  const begun = performance.now();
  const note = log("sent", describe(data), "not handled yet");
  channel!.send(data).then(
    () => note(`handled by the server after ${milliseconds(performance.now() - begun)}`),
    (error: ChannelError) => note(`${FATES[error.fate]}: ${error.code}: ${error.message}`, true),
  );
  refresh();
}

function allow(names: readonly TransportName[]): void {
  allowed = names;
  log("allowed", names.map((name) => NAMES[name]).join(", "));
  if (isAlive()) channel!.transports = names;
  refresh();
}

const isAlive = (): boolean => channel !== undefined && channel.state !== "closed";

// What the page shows of the channel

function refresh(): void {
  const state = channel?.state ?? "none";
  const isConnected = isAlive();
  const badge = find("#state");
  badge.dataset["state"] = state;
  setText(badge, state === "open" ? `open over ${NAMES[channel!.transport!]}` : STATES[state]);
  for (const [id, enabled] of Object.entries({
    open: !isConnected,
    close: isConnected,
    cut: state === "open",
    suspend: isConnected && state !== "suspended",
    resume: state === "suspended",
  }))
    find<HTMLButtonElement>(`#${id}`).disabled = !enabled;
  url.disabled = isConnected;
  find<HTMLButtonElement>("#send button").disabled = !isConnected;
  for (const row of rows) row.refresh(state === "open");
  showNumbers();
  showAttempts();
  setText(find("#session"), channel?.id ? `Session ${channel.id}` : "");
}

/** Sets a text, unless it is there already: a text that is set again loses its selection. */
function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

const rows = ALL.map((name) => {
  const box = make("input", "");
  box.type = "checkbox";
  const status = make("small", "");
  const only = make("button", "", "Only");
  only.type = "button";
  only.setAttribute("aria-label", `Only ${NAMES[name]}`);
  const row = make("li", "", make("label", "", box, NAMES[name], status), only);
  box.addEventListener("change", () => allow(ALL.filter((each) => (each === name ? box.checked : allowed.includes(each)))));
  only.addEventListener("click", () => allow([name]));
  find("#transports").append(row);
  const refresh = (isOpen: boolean): void => {
    const isAllowed = allowed.includes(name);
    const isUsed = isOpen && channel?.transport === name;
    box.checked = isAllowed;
    // One must remain.
    box.disabled = isAllowed && allowed.length === 1;
    only.disabled = isAllowed && allowed.length === 1;
    row.classList.toggle("used", isUsed);
    setText(status, isUsed ? "in use" : isAllowed ? "allowed" : "forbidden");
  };
  return { refresh };
});

function showNumbers(): void {
  const numbers = channel?.statistics();
  const shown = {
    sent: numbers?.sent,
    handled: numbers?.acknowledged,
    received: numbers?.received,
    connections: numbers?.attaches,
    resumes: numbers?.reconnects,
    replayed: numbers?.replayed,
  };
  const list = find("#numbers");
  for (const [index, [name, number]] of Object.entries(shown).entries()) {
    if (!list.children[index]) list.append(make("div", "", make("dt", "", name), make("dd", "")));
    setText(list.children[index]!.lastElementChild as HTMLElement, String(number ?? 0));
  }
}

let attemptsShown = "";

function showAttempts(): void {
  const attempts = channel?.explain().reverse() ?? [];
  const text = JSON.stringify(attempts);
  if (text === attemptsShown) return;
  attemptsShown = text;
  const items = attempts.map(({ transport, outcome, reason, milliseconds: duration }) => {
    const after = milliseconds(duration);
    const outcomes = {
      pending: "no answer yet",
      open: `open after ${after}`,
      failed: `failed after ${after}`,
      lost: `had opened after ${after}, has ended since`,
      left: `given up after ${after} without having failed`,
    };
    const what = make("span", outcome, outcomes[outcome]);
    return make("li", "", `${NAMES[transport]}: `, what, make("small", "", reason));
  });
  find("#attempts").replaceChildren(...(items.length ? items : [make("li", "", "none yet")]));
}

// What the user does

function onClick(id: string, action: () => void): void {
  find(`#${id}`).addEventListener("click", () => {
    action();
    refresh();
  });
}

onClick("close", () => {
  log("you", "close the channel");
  void channel!.close();
});
onClick("cut", () => {
  log("you", "cut the connection");
  channel!.reconnect();
});
onClick("suspend", () => channel!.suspend());
onClick("resume", () => {
  log("you", "resume");
  channel!.resume();
});
find("#connect").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!isAlive()) connect();
});
find("#send").addEventListener("submit", (event) => {
  event.preventDefault();
  if (isAlive()) send();
});
message.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  find<HTMLFormElement>("#send").requestSubmit();
});

url.value = mount || "/";
find("#blocked").hidden = true;
find("main").hidden = false;
attemptsShown = "none";
refresh();
setInterval(refresh, REFRESH_INTERVAL);
