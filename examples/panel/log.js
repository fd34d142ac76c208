import { make } from "./dom.js";
import { clock } from "./words.js";

const KEPT = 100;

/** What happened to both connections, newest first. */
export class Log {
  element = make("ol", { className: "log", tabIndex: 0, ariaLabel: "What happened, newest first" });

  /** Adds an entry. `side`: `ours`, `plain` or `you`. */
  add(side, kind, text) {
    const who = { ours: "onechannel", plain: "plain WebSocket", you: "you" }[side];
    const entry = make(
      "li",
      {},
      make("time", { textContent: clock() }),
      make("p", {}, make("b", { textContent: who }), ` ${text}`),
    );
    Object.assign(entry.dataset, { side, kind });
    this.element.prepend(entry);
    while (this.element.children.length > KEPT) this.element.lastElementChild.remove();
  }
}
