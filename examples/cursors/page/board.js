import { make } from "./panel/dom.js";

/** How many positions of a cursor its trace shows. */
const SHOWN = 90;
const SPACE = "http://www.w3.org/2000/svg";

/** Returns the hue of a cursor: not green, as moves that were recovered, nor red, as those that are missing. */
function hue(name) {
  let sum = 7;
  for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 130;
  return 190 + sum;
}

/** Cursors with the traces of their moves. A trace is interrupted if moves are missing. */
export class Board {
  element = make("div", { className: "board" });
  #svg = document.createElementNS(SPACE, "svg");
  #cursors = new Map();
  #nameOf;

  constructor(nameOf) {
    this.#nameOf = nameOf;
    this.#svg.setAttribute("viewBox", "0 0 1 1");
    this.#svg.setAttribute("preserveAspectRatio", "none");
    this.element.append(this.#svg);
  }

  move(name, x, y, recovered) {
    const cursor = this.#cursors.get(name) ?? this.#add(name);
    cursor.points.push({ x, y, recovered, follows: cursor.follows });
    if (cursor.points.length > SHOWN) cursor.points.shift();
    cursor.follows = true;
    cursor.label.style.left = `${x * 100}%`;
    cursor.label.style.top = `${y * 100}%`;
    cursor.label.classList.toggle("left", x > 0.6);
    const paths = { known: "", recovered: "", missing: "" };
    cursor.points.forEach((point, index) => {
      const before = cursor.points[index - 1];
      const kind = !point.follows ? "missing" : point.recovered ? "recovered" : "known";
      if (before) paths[kind] += `M${before.x} ${before.y}L${point.x} ${point.y}`;
    });
    for (const [kind, path] of Object.entries(cursor.paths)) path.setAttribute("d", paths[kind]);
  }

  /** Interrupts all traces: it is unknown whose moves are missing. */
  interrupt() {
    for (const cursor of this.#cursors.values()) cursor.follows = false;
  }

  /** Removes the cursors of all others. */
  keep(names) {
    for (const [name, { label, paths }] of this.#cursors) {
      if (names.includes(name)) continue;
      for (const element of [label, ...Object.values(paths)]) element.remove();
      this.#cursors.delete(name);
    }
  }

  #add(name) {
    const label = make("span", { className: "cursor", textContent: this.#nameOf(name) });
    label.style.setProperty("--hue", hue(name));
    const paths = {};
    for (const kind of ["known", "recovered", "missing"]) {
      paths[kind] = document.createElementNS(SPACE, "path");
      paths[kind].setAttribute("class", kind);
      paths[kind].style.setProperty("--hue", hue(name));
      this.#svg.append(paths[kind]);
    }
    this.element.append(label);
    const cursor = { label, paths, points: [], follows: false };
    this.#cursors.set(name, cursor);
    return cursor;
  }
}
