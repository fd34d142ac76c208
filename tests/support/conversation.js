// The client's half of `tests/support/conversation.py`, for pages and for Node. It needs `numbered` of `page.js`.

/** Returns message number `count`: every kind of message occurs, except those of a quarter of a megabyte. */
globalThis.ordinary = (count) => numbered(1000 * Math.floor((count - 1) / 999) + ((count - 1) % 999) + 2);

const text = (message) => (message instanceof Uint8Array ? `bytes ${message}` : JSON.stringify(message));

/** A conversation over a channel: a message every `every` seconds in each direction, until it is stopped. */
globalThis.Talk = class {
  sent = 0;
  received = 0;
  /** The first messages that were not the expected one, each after the expected one. */
  wrong = [];
  /** All events except messages, with the wall-clock time in seconds. */
  events = [];
  /** The numbers of unsettled sends, and of sends that failed other than by a reset. */
  pending = new Set();
  failed = [];
  /** For each reset: the reported fates, and the sends that were pending. */
  resets = [];
  #asked = 0;
  #answers = new Map();
  #timer;

  constructor(channel, every) {
    this.channel = channel;
    this.every = every;
    for (const type of ["open", "transport", "recovering", "resumed", "suspended", "reset", "close"])
      channel.addEventListener(type, ({ reason, transport }) =>
        this.events.push({ type, at: Date.now() / 1000, ...(reason && { reason }), ...(transport && { transport }) }),
      );
    channel.addEventListener("message", ({ data }) => this.#take(data));
    channel.addEventListener("reset", (event) => this.#reset(event));
    channel.send({ every });
    this.#timer = setInterval(() => this.#sendNext(), every * 1000);
  }

  #sendNext() {
    const count = ++this.sent;
    const { pending } = this;
    pending.add(count);
    this.channel.send(ordinary(count)).then(
      () => pending.delete(count),
      (error) => pending === this.pending && this.failed.push(`${count}: ${error}`),
    );
  }

  #take(data) {
    if (data?.answer) return this.#answers.get(data.answer)?.({ ...data, here: this.received });
    const due = ordinary(++this.received);
    if (text(due) !== text(data) && this.wrong.length < 3) this.wrong.push([due, data].map((one) => text(one).slice(0, 200)));
  }

  /** Handles a new session: restarts the counts, and repeats unanswered queries. */
  #reset({ reason, lost, sends }) {
    const counts = new Map([...this.pending].map((count) => [text(ordinary(count)), count]));
    const fates = {};
    for (const { message, fate } of sends) {
      const count = counts.get(text(message));
      if (count) (fates[fate] ??= []).push(count);
    }
    this.resets.push({ reason, lost, fates, sent: this.sent, pending: [...this.pending] });
    this.pending = new Set();
    this.sent = this.received = 0;
    this.channel.send({ every: this.every });
  }

  /**
   * Queries the handler, and resolves once everything sent before has arrived, in both directions. Returns the errors
   * found so far (an empty list if all is well) and the seconds that it took.
   */
  async ask() {
    const begun = performance.now();
    const asked = ++this.#asked;
    const { sent } = this;
    const answer = new Promise((resolve) => this.#answers.set(asked, resolve));
    await this.channel.send({ ask: asked });
    const { sent: theirs, received, wrong, here } = await answer;
    const found = [...this.wrong, ...wrong, ...this.failed];
    if (received !== sent) found.push(`the handler received ${received} of ${sent} sent messages`);
    if (here !== theirs) found.push(`received ${here} of ${theirs} messages that the handler sent`);
    return { wrong: found, sent, received: theirs, seconds: (performance.now() - begun) / 1000 };
  }

  stop() {
    clearInterval(this.#timer);
  }
};

/** Starts a conversation over each of these transports, on separate channels to this page's server, in `talks`. */
globalThis.startTalks = (every, transports, options) => {
  globalThis.talks = transports.map((name) => new Talk(new Channel("/chat", { ...options, transports: [name] }), every));
};

/** Checks all conversations, and returns the results in the same order. */
globalThis.askAll = () => Promise.all(talks.map((talk) => talk.ask()));

/** Returns how many events of this type each channel had. */
globalThis.countOf = (type) => talks.map(({ events }) => events.filter((event) => event.type === type).length);
