import { make } from "./panel/dom.js";

/** How many quotes a chart shows. */
const SHOWN = 80;
const HEIGHT = 40;

function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** The curve of one price. A quote that is missing leaves a gap, one that was recovered is green. */
export class Chart {
  #price = make("output");
  #svg = draw("svg", { viewBox: `0 0 ${SHOWN} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  #points = [];

  constructor(name) {
    const head = make("p", {}, make("b", { textContent: name }), this.#price);
    this.element = make("div", { className: "chart" }, head, this.#svg);
  }

  add(number, price, recovered) {
    this.#price.textContent = price.toFixed(2);
    this.#points.push({ number, price, recovered });
    while (this.#points[0].number <= number - SHOWN) this.#points.shift();
    this.#draw(number);
  }

  #draw(last) {
    const prices = this.#points.map(({ price }) => price);
    const low = Math.min(...prices);
    const range = Math.max(...prices) - low || 1;
    const x = (number) => SHOWN - 1 - (last - number);
    const y = (price) => 2 + (1 - (price - low) / range) * (HEIGHT - 4);
    const gaps = [];
    const paths = { known: "", recovered: "" };
    this.#points.forEach(({ number, price, recovered }, index) => {
      const before = this.#points[index - 1];
      const here = `${x(number)} ${y(price)}`;
      if (!before) return;
      if (number > before.number + 1) {
        const width = number - before.number;
        gaps.push(draw("rect", { x: x(before.number), y: 0, width, height: HEIGHT, class: "hole" }));
      } else paths[recovered ? "recovered" : "known"] += `M${x(before.number)} ${y(before.price)}L${here}`;
    });
    const curves = Object.entries(paths).map(([name, path]) => draw("path", { class: name, d: path }));
    this.#svg.replaceChildren(...gaps, ...curves);
  }
}
