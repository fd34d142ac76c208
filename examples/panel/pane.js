import { make } from "./dom.js";
import { Tally } from "./tally.js";

/** How many messages a pane keeps. */
const KEPT = 1000;

/**
 * One of the two sides of a scene: its connection's state, what it has received, and the scene's view.
 *
 * `view(element, side)` builds the view. It returns `show(message, { recovered })`, `clear()` and, if it can mark a gap,
 * `markMissing(count)`.
 */
export class Pane {
  tally = new Tally();
  #state = make("span", { className: "state" });
  #score = make("strong");
  #notes = make("span", { className: "notes" });
  #notice = make("p", { className: "notice", hidden: true });
  #view;
  /** The latest messages, each with whether it was recovered. */
  #messages = [];

  constructor(side, title, view) {
    const ariaLabel = `What this page has received over ${title}`;
    const content = make("div", { className: "content", tabIndex: 0, ariaLabel });
    this.element = make(
      "section",
      { className: "pane", ariaLabel: title },
      make("header", {}, make("h2", { textContent: title }), this.#state),
      make("p", { className: "tally" }, this.#score, " ", this.#notes),
      this.#notice,
      content,
    );
    this.element.dataset.side = side;
    this.#view = view(content, side);
    this.#count();
  }

  setState(state, text = state) {
    this.element.dataset.state = state;
    this.#state.textContent = text;
    this.#count();
  }

  /** Takes a message of the server, counts it if it is numbered, and shows it. */
  receive(message, recovered = false) {
    const { lost } = this.tally;
    if (message.from !== undefined) this.tally.begin(message);
    if (message.n !== undefined) this.tally.add(message.n, recovered);
    const missing = this.tally.lost - lost;
    if (missing > 0) this.#view.markMissing?.(missing);
    if (message.from === undefined) {
      this.#view.show(message, { recovered });
      this.#messages.push([message, recovered]);
      if (this.#messages.length > KEPT) this.#messages.shift();
    }
    this.#count();
  }

  /** Starts over, after the session was lost. `notice` says what is known about what was missed. */
  restart(notice) {
    this.tally = new Tally();
    this.#messages = [];
    this.#view.clear();
    this.#notice.textContent = notice;
    this.#notice.hidden = false;
    this.#count();
  }

  /** Returns what the pane shows, for `restore` after a reload of the page. */
  save() {
    return { run: this.tally.run, messages: this.#messages };
  }

  restore({ run, messages }) {
    const numbered = messages.find(([{ n }]) => n !== undefined);
    if (numbered) this.receive({ from: numbered[0].n, run });
    for (const [message, recovered] of messages) this.receive(message, recovered);
  }

  #count() {
    const { received, sent, lost, doubled, recovered, late, isAnew } = this.tally;
    const notes = { lost, doubled, recovered, "out of order": late };
    // Without a connection, a page cannot know how many there are.
    const isOpen = this.element.dataset.state === "open";
    this.#score.textContent = isOpen ? `${received} of ${sent} received` : `${received} received so far`;
    this.#notes.replaceChildren(
      ...Object.entries(notes)
        .filter(([, number]) => number > 0)
        .map(([name, number]) => make("span", { className: `note ${name}`, textContent: `${number} ${name}` })),
    );
    if (isAnew) this.#notes.append(make("span", { className: "note anew", textContent: "since the restart" }));
    Object.assign(this.element.dataset, { received, sent, lost, doubled, recovered, late });
  }
}
