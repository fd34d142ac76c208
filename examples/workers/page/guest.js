import { Channel } from "./channel/client.js";
import { make } from "./panel/dom.js";
import { NAMES, count, duration } from "./panel/words.js";

/**
 * A guest of the room, over a channel of its own, and the card that shows it.
 *
 * Its events: `line` (`text`), `happened` (`text`), and `change` when its home or its edge may be another.
 */
export class Guest extends EventTarget {
  /** The process ids of the workers. */
  home;
  edge;
  mayKill = false;
  #name;
  #cookie;
  #channel;
  /** The number of the latest line of each session, by which lost and doubled lines are found. */
  #latest = new Map();
  #counts = { received: 0, lost: 0, doubled: 0, resets: 0, resumes: 0 };
  /** When its latest connection was lost. */
  #lostAt = 0;
  #verdict = "";
  #where = make("p", { className: "where" });
  #state = make("span", { className: "state" });
  #score = make("p", { className: "score" });
  #fate = make("p", { className: "fate" });

  constructor(name) {
    super();
    this.#name = name;
    const guest = crypto.randomUUID();
    this.#cookie = `edge-${guest}=`;
    this.element = make(
      "section",
      { className: "guest", ariaLabel: name },
      make("header", {}, make("h2", { textContent: name }), this.#state),
      this.#where,
      this.#score,
      this.#fate,
    );
    this.#channel = new Channel(`channel?guest=${guest}`);
    this.#follow();
    setInterval(() => this.show(), 250);
  }

  get name() {
    return this.#name;
  }

  say(text) {
    return this.#channel.send({ text });
  }

  /** Kills the home. The message is never acknowledged; the event `reset` tells. */
  kill() {
    this.#channel.send("kill").catch(() => {});
  }

  cut() {
    this.#channel.reconnect();
  }

  /** Forgets what has happened, so that the card shows what follows. */
  forget() {
    this.#verdict = "";
    this.#counts.resets = this.#counts.resumes = 0;
    this.show();
  }

  show() {
    const edge = Number(document.cookie.split("; ").find((one) => one.startsWith(this.#cookie))?.split("=")[1]);
    if (edge && edge !== this.edge) {
      this.edge = edge;
      this.#tell("change");
    }
    const { state, transport } = this.#channel;
    this.#state.textContent = state === "open" ? NAMES[transport] : state;
    this.#where.textContent = this.home ? `home ${this.home}, edge ${this.edge ?? "?"}` : "no worker yet";
    const { received, lost, doubled, resets, resumes } = this.#counts;
    this.#score.textContent = `${count(received, "line")} received, ${lost} lost, ${doubled} doubled`;
    this.#fate.textContent = this.#verdict || "undisturbed";
    const { home, edge: at } = this;
    Object.assign(this.element.dataset, { state, home, edge: at, received, lost, doubled, resets, resumes });
  }

  #follow() {
    const on = (type, act) =>
      this.#channel.addEventListener(type, (event) => {
        act(event);
        this.show();
      });
    on("message", ({ data }) => (data.home ? this.#begin(data) : this.#receive(data)));
    on("statechange", () => {});
    on("recovering", () => (this.#lostAt = performance.now()));
    on("resumed", ({ replayed }) => {
      this.#counts.resumes++;
      const after = duration(performance.now() - this.#lostAt);
      this.#verdict = `its connection was lost, its session went on after ${after}`;
      const missed = replayed ? `${count(replayed, "message")} followed` : "it has missed nothing";
      this.#tell("happened", `resumed its session; ${missed}`);
    });
    on("reset", ({ reason }) => {
      this.#counts.resets++;
      this.#counts.received = 0;
      this.#latest.clear();
      this.#verdict = `reset (${reason})`;
      this.#tell("happened", `got reset (${reason}): its home is gone`);
    });
    on("close", ({ code, reason }) => this.#tell("happened", `closed: ${code} ${reason}`));
  }

  /** Takes the first message of a session. */
  #begin({ home, mayKill }) {
    if (this.home) {
      const after = duration(performance.now() - this.#lostAt);
      this.#verdict += `: a new session after ${after}`;
      this.#tell("happened", `has a new session in worker ${home}`);
    }
    this.home = home;
    this.mayKill = mayKill;
    this.#tell("change");
  }

  #receive({ from, n, text }) {
    const before = this.#latest.get(from) ?? n - 1;
    if (n <= before) this.#counts.doubled++;
    else this.#counts.lost += n - before - 1;
    this.#latest.set(from, Math.max(n, before));
    this.#counts.received++;
    this.#tell("line", text);
  }

  #tell(type, text) {
    this.dispatchEvent(Object.assign(new Event(type), { text }));
  }
}
