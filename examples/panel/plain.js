/** How long such pages wait before they connect again, in ms. */
const RETRY = 1000;

/**
 * A plain WebSocket that connects again by itself, as pages do that have no library for it.
 *
 * Its events: `message` with the decoded `data`, and `change` when `state` has changed: `connecting`, `open`,
 * `waiting` (to connect again), `away` or `forbidden`.
 */
export class PlainSocket extends EventTarget {
  state = "";
  #url;
  #socket;
  #timer;

  constructor(url) {
    super();
    this.#url = new URL(url, location.href.replace(/^http/, "ws")).href;
    this.#connect();
  }

  /** Closes the connection; a new one follows after a second. */
  cut() {
    if (this.state === "open" || this.state === "connecting") this.#wait();
  }

  /** Closes the connection until `connect()`. `state`: why. */
  stop(state) {
    this.#drop();
    this.#change(state);
  }

  connect() {
    if (this.state === "away" || this.state === "forbidden") this.#connect();
  }

  #connect() {
    this.#change("connecting");
    const socket = (this.#socket = new WebSocket(this.#url));
    socket.onopen = () => this.#change("open");
    socket.onclose = () => this.#wait();
    socket.onmessage = ({ data }) =>
      this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.parse(data) }));
  }

  #wait() {
    this.#drop();
    this.#timer = setTimeout(() => this.#connect(), RETRY);
    this.#change("waiting");
  }

  #drop() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    if (!socket) return;
    socket.onopen = socket.onclose = socket.onmessage = null;
    socket.close();
    this.#socket = undefined;
  }

  #change(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}
