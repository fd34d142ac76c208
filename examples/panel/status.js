import { make } from "./dom.js";
import { NAMES, attemptInWords, duration, whyTransport } from "./words.js";

const ATTEMPTS = 6;

/** What the states of a channel mean, but for `open`. */
const MEANINGS = {
  connecting: "no connection yet",
  recovering: "the connection was lost, the session waits",
  suspended: "this page is away",
  closed: "for good: reload the page",
};

/** Which transport a channel uses and why, and its latest attempts to connect, newest first. */
export class Status {
  transport = make("p", { className: "transport", role: "status" });
  attempts = make("ol", { className: "attempts", ariaLabel: "Attempts to connect, newest first" });
  #channel;

  constructor(channel) {
    this.#channel = channel;
    this.refresh();
  }

  refresh() {
    const { state, transport, transports } = this.#channel;
    const attempts = this.#channel.explain();
    const opened = attempts.findLast(({ outcome }) => outcome === "open");
    this.transport.replaceChildren(
      ...(state === "open" && opened
        ? [make("b", { textContent: NAMES[transport] }), ` open after ${duration(opened.milliseconds)}: `]
        : [make("b", { textContent: state }), `: ${MEANINGS[state] ?? ""}`]),
      state === "open" ? whyTransport(transport, transports, attempts) : "",
    );
    const latest = attempts.slice(-ATTEMPTS).reverse();
    this.attempts.replaceChildren(...latest.map((one) => make("li", { textContent: attemptInWords(one) })));
  }
}
