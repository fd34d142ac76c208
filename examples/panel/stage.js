import { controls } from "./controls.js";
import { make } from "./dom.js";
import { Log } from "./log.js";
import { Pane } from "./pane.js";
import { NAMES, attemptInWords, count, duration, endInWords, reasonInWords, whyTransport } from "./words.js";

const PLAIN_STATES = {
  connecting: "connecting",
  open: "open",
  waiting: "connects again in 1 s",
  away: "away",
  forbidden: "forbidden",
};

/** What the states of a channel mean, but for `open`. */
const MEANINGS = {
  connecting: "no connection yet",
  recovering: "the connection was lost, the session waits",
  suspended: "this page is away",
  closed: "for good: reload the page",
};

/**
 * Shows a scene twice, over a channel and over a plain WebSocket, with the panel that disturbs both.
 *
 * `view`: see `Pane`. `keptAs`: a name under which both panes are kept over a reload of the page, for a page whose
 * session outlives it too. Returns both panes.
 */
export function stage({ channel, plain, view, keptAs }) {
  const log = new Log();
  const panes = {
    ours: new Pane("ours", "onechannel", view),
    plain: new Pane("plain", "plain WebSocket", view),
  };
  if (keptAs) keepPanes(panes, keptAs);
  document.getElementById("panes").append(panes.ours.element, panes.plain.element);
  const transport = make("p", { className: "transport" });
  transport.setAttribute("role", "status");
  const attempts = make("ol", { className: "attempts" });
  attempts.setAttribute("aria-label", "Attempts to connect, newest first");
  document.getElementById("panel").append(
    ...controls(channel, plain, log),
    transport,
    make(
      "details",
      { open: matchMedia("(min-width: 900px)").matches },
      make("summary", { textContent: "What happened" }),
      log.element,
      make("h3", { textContent: "Attempts to connect" }),
      attempts,
    ),
  );

  function refresh() {
    const { state } = channel;
    const name = NAMES[channel.transport];
    panes.ours.setState(state, state === "open" ? `open over ${name}` : state);
    const list = channel.explain();
    const opened = list.findLast(({ outcome }) => outcome === "open");
    const isOpen = state === "open" && opened;
    const why = whyTransport(channel.transport, channel.transports, list);
    transport.replaceChildren(
      make("b", { textContent: isOpen ? name : state }),
      isOpen ? ` open after ${duration(opened.milliseconds)}: ${why}` : `: ${MEANINGS[state] ?? ""}`,
    );
    const shown = list.slice(-6).reverse();
    attempts.replaceChildren(...shown.map((one) => make("li", { textContent: attemptInWords(one) })));
  }

  const on = (type, act) =>
    channel.addEventListener(type, (event) => {
      act(event);
      refresh();
    });
  on("message", ({ data, recovered }) => panes.ours.receive(data, recovered));
  on("open", () => log.add("ours", "open", "opened a session"));
  on("transport", (event) => {
    if (event.transport) log.add("ours", "transport", `is connected over ${NAMES[event.transport]}`);
  });
  on("recovering", ({ reason }) => log.add("ours", "recovering", `lost its connection: ${reasonInWords(reason)}`));
  on("resumed", ({ replayed }) => log.add("ours", "resumed", `resumed its session; ${missed(replayed)}`));
  on("suspended", () => log.add("ours", "suspended", "is suspended"));
  on("reset", (event) => {
    const text = resetInWords(event);
    log.add("ours", "reset", text);
    panes.ours.restart(`This page was told: ${text}.`);
  });
  on("close", ({ code, reason }) => log.add("ours", "close", `closed: ${code} ${reason}`));

  const showPlain = () => panes.plain.setState(plain.state, PLAIN_STATES[plain.state]);
  plain.addEventListener("message", ({ data }) => panes.plain.receive(data));
  let wasOpen = false;
  plain.addEventListener("change", () => {
    showPlain();
    if (plain.state === "open") log.add("plain", "open", "is connected");
    if (plain.state === "waiting") log.add("plain", "closed", wasOpen ? "lost its connection" : "could not connect");
    wasOpen = plain.state === "open";
  });
  showPlain();
  setInterval(refresh, 500);
  refresh();
  return panes;
}

/** Shows what the page had received before it was reloaded, and keeps it when the page unloads. */
function keepPanes(panes, name) {
  const kept = JSON.parse(sessionStorage.getItem(name) ?? "{}");
  for (const [side, messages] of Object.entries(kept)) for (const one of messages) panes[side].receive(...one);
  addEventListener("pagehide", () => {
    const all = Object.entries(panes).map(([side, { messages }]) => [side, messages]);
    sessionStorage.setItem(name, JSON.stringify(Object.fromEntries(all)));
  });
}

const missed = (replayed) => (replayed ? `${count(replayed, "missed message")} followed` : "nothing was missed");

/** What the event `reset` tells. */
function resetInWords({ reason, lost, dropped, sends }) {
  const doubtful = sends.filter(({ fate }) => fate !== "handled").length;
  const range = lost && (lost.length ? `messages ${lost[0]} to ${lost[1] ?? "?"} were lost` : "nothing was lost");
  const more = dropped ? `, and ${count(dropped, "message")} more` : "";
  const own = doubtful ? `; ${count(doubtful, "message")} of its own may need to be sent again` : "";
  return `a new session, because ${endInWords(reason)}; ${range ?? "what was lost is unknown"}${more}${own}`;
}
