import { Channel } from "./channel/client.js";
import { Chart } from "./chart.js";
import { make } from "./panel/dom.js";
import { PlainSocket } from "./panel/plain.js";
import { stage } from "./panel/stage.js";
import { clock } from "./panel/words.js";

function view(element) {
  const time = make("p", { className: "time", textContent: "no quote yet" });
  element.append(time);
  /** The chart of each name. */
  const charts = new Map();
  return {
    show({ n, prices, at }, { recovered }) {
      time.textContent = `latest quote: ${clock(new Date(at * 1000))}`;
      for (const [name, price] of Object.entries(prices)) {
        if (!charts.has(name)) {
          charts.set(name, new Chart(name));
          element.append(charts.get(name).element);
        }
        charts.get(name).add(n, price, recovered);
      }
    },
    clear() {
      for (const chart of charts.values()) chart.element.remove();
      charts.clear();
    },
  };
}

stage({ channel: new Channel("channel"), plain: new PlainSocket("plain"), view });
