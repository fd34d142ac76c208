import { controls } from "./controls.js";
import { make } from "./dom.js";
import { Log } from "./log.js";
import { Pane } from "./pane.js";
import { Status } from "./status.js";
import { NAMES, count, endInWords, reasonInWords } from "./words.js";

const PLAIN_STATES = {
  connecting: "connecting",
  open: "open",
  waiting: "connects again in 1 s",
  away: "away",
  forbidden: "forbidden",
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
  const status = new Status(channel);
  document.getElementById("panel").append(
    ...controls(channel, plain, log),
    status.transport,
    make(
      "details",
      { open: matchMedia("(min-width: 900px)").matches },
      make("summary", { textContent: "What happened" }),
      log.element,
      make("h3", { textContent: "Attempts to connect" }),
      status.attempts,
    ),
  );
  followChannel(channel, panes.ours, log, status);
  followPlain(plain, panes.plain, log);
  return panes;
}

function followChannel(channel, pane, log, status) {
  function refresh() {
    const { state, transport } = channel;
    pane.setState(state, state === "open" ? `open over ${NAMES[transport]}` : state);
    status.refresh();
  }
  /** Adds a listener. What it returns is added to the log. */
  const on = (type, act) =>
    channel.addEventListener(type, (event) => {
      const text = act(event);
      if (text) log.add("ours", type, text);
      refresh();
    });
  on("message", ({ data, recovered }) => pane.receive(data, recovered));
  on("statechange", () => {});
  on("open", () => "opened a session");
  on("transport", ({ transport }) => transport && `is connected over ${NAMES[transport]}`);
  on("recovering", ({ reason }) => `lost its connection: ${reasonInWords(reason)}`);
  on("resumed", ({ replayed }) => `resumed its session: ${replayed ? "what it missed follows" : "it has missed nothing"}`);
  on("unreachable", ({ reason }) => reason);
  on("suspended", () => "is suspended");
  on("reset", (event) => {
    const text = resetInWords(event);
    pane.restart(`The channel reports ${text}.`);
    return text;
  });
  on("close", ({ code, reason }) => `closed: ${code} ${reason}`);
  // No event tells of attempts.
  setInterval(refresh, 500);
  refresh();
}

function followPlain(plain, pane, log) {
  let wasOpen = false;
  const showState = () => pane.setState(plain.state, PLAIN_STATES[plain.state]);
  plain.addEventListener("message", ({ data }) => pane.receive(data));
  plain.addEventListener("change", () => {
    showState();
    if (plain.state === "open") log.add("plain", "open", "is connected");
    if (plain.state === "waiting") log.add("plain", "closed", wasOpen ? "lost its connection" : "could not connect");
    wasOpen = plain.state === "open";
  });
  showState();
}

/** Shows what the page had received before it was reloaded, and keeps it when the page unloads. */
function keepPanes(panes, name) {
  const kept = JSON.parse(sessionStorage.getItem(name) ?? "{}");
  for (const [side, saved] of Object.entries(kept)) panes[side].restore(saved);
  addEventListener("pagehide", () => {
    const all = Object.entries(panes).map(([side, pane]) => [side, pane.save()]);
    sessionStorage.setItem(name, JSON.stringify(Object.fromEntries(all)));
  });
}

/** What the event `reset` tells. */
function resetInWords({ reason, lost, dropped, sends }) {
  const doubtful = sends.filter(({ fate }) => fate !== "handled").length;
  const range = lost && (lost.length ? `messages ${lost[0]} to ${lost[1] ?? "?"} were lost` : "nothing was lost");
  const more = dropped ? `, and ${count(dropped, "message")} more` : "";
  const own = doubtful ? `; ${count(doubtful, "message")} of its own may need to be sent again` : "";
  return `a new session, because ${endInWords(reason)}; ${range ?? "what was lost is unknown"}${more}${own}`;
}
