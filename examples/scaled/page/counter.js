import { Channel } from "./channel/client.js";
import { make } from "./panel/dom.js";
import { NAMES, duration } from "./panel/words.js";

/**
 * A channel that counts, and the card that shows it.
 *
 * Its events: `happened` (`text`), and `change` when its home or its edge may be another.
 */
export class Counter extends EventTarget {
  /** The process ids of the workers. */
  home;
  edge;
  mayKill = false;
  #cookie;
  #channel;
  #sent = 0;
  #answered = 0;
  #lost = 0;
  #doubled = 0;
  #resets = 0;
  /** How often its session has gone on in another worker. */
  #moves = 0;
  /** When the latest answer arrived. */
  #answeredAt = 0;
  #fate = "undisturbed";
  #texts = {};

  /** `transports`: those that the channel may use. */
  constructor(name, transports) {
    super();
    this.name = name;
    const guest = crypto.randomUUID();
    this.#cookie = `edge-${guest}=`;
    const text = (part, tag = "p") => (this.#texts[part] = make(tag, { className: part }));
    this.element = make(
      "section",
      { className: "counter", ariaLabel: name },
      make("header", {}, make("h2", { textContent: name }), text("state", "span")),
      text("where"),
      text("score"),
      text("fate"),
    );
    this.#channel = new Channel(`channel?guest=${guest}`, { transports });
    const on = (type, act) => this.#channel.addEventListener(type, act);
    on("message", ({ data }) => this.#take(data));
    on("recovering", () => this.#tell("happened", "has lost its connection"));
    on("reset", ({ reason }) => this.#reset(reason));
    on("close", ({ code, reason }) => this.#tell("happened", `closed: ${code} ${reason}`));
    setInterval(() => this.show(), 100);
  }

  count() {
    // A number that is lost shows as such: nothing says it again.
    this.#channel.send({ n: ++this.#sent }).catch(() => {});
  }

  kill() {
    this.#channel.send({ kill: this.home }).catch(() => {});
  }

  cut() {
    this.#channel.reconnect();
  }

  show() {
    const edge = Number(document.cookie.split("; ").find((one) => one.startsWith(this.#cookie))?.split("=")[1]);
    if (edge && edge !== this.edge) {
      this.edge = edge;
      this.#tell("change");
    }
    const { state, transport } = this.#channel;
    this.#texts.state.textContent = state === "open" ? NAMES[transport] : state;
    this.#texts.where.textContent = this.home ? `home ${this.home}, edge ${this.edge ?? "?"}` : "no worker yet";
    this.#texts.score.textContent =
      `${this.#answered} of ${this.#sent} answered, ${this.#lost} lost, ${this.#doubled} doubled`;
    this.#texts.fate.textContent = this.#fate;
    const [sent, answered, lost, doubled] = [this.#sent, this.#answered, this.#lost, this.#doubled];
    const { home = "", edge: at = "" } = this;
    const [resets, moves] = [this.#resets, this.#moves];
    Object.assign(this.element.dataset, { state, home, edge: at, sent, answered, lost, doubled, resets, moves });
  }

  #take({ n, home, mayKill }) {
    if (mayKill !== undefined) this.mayKill = mayKill;
    if (this.home && home !== this.home) {
      const after = duration(performance.now() - this.#answeredAt);
      this.#moves++;
      this.#fate = `went on in worker ${home} after ${after}`;
      this.#tell("happened", `goes on in worker ${home}, ${after} after its last answer`);
    }
    this.home = home;
    this.#answeredAt = performance.now();
    if (n !== undefined) {
      const next = this.#answered + this.#lost + 1;
      if (n < next) this.#doubled++;
      else {
        this.#lost += n - next;
        this.#answered++;
      }
    }
    this.#tell("change");
  }

  #reset(reason) {
    this.#resets++;
    this.#fate = `reset (${reason})`;
    this.#tell("happened", `got reset (${reason}): its session has ended`);
  }

  #tell(type, text) {
    this.dispatchEvent(Object.assign(new Event(type), { text }));
  }
}
