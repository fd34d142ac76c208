import { make } from "./dom.js";

const SHOWN = 200;

/** A list of what a pane has received, newest last, which marks what is missing. */
export class List {
  element = make("ol", { className: "list" });
  #scrolls;

  /** `scrolls`: the element that scrolls, and that gets the list. */
  constructor(scrolls) {
    this.#scrolls = scrolls;
    scrolls.append(this.element);
  }

  append(item, recovered = false) {
    if (recovered) item.append(make("small", { className: "note recovered", textContent: "recovered" }));
    this.element.append(item);
    while (this.element.children.length > SHOWN) this.element.firstElementChild.remove();
    this.#scrolls.scrollTop = this.#scrolls.scrollHeight;
  }

  /** Marks that events are missing here. */
  markMissing(count) {
    this.append(make("li", { className: "gap", textContent: `${count} missing here` }));
  }

  clear() {
    this.element.replaceChildren();
  }
}
