// The other half of `tests/support/conversation.py`, for pages and for Node. It needs `numbered` of `page.js`.

/** The `count`-th message: of every kind, but none of a quarter of a megabyte. */
globalThis.ordinary = (count) => numbered(1000 * Math.floor((count - 1) / 999) + ((count - 1) % 999) + 2);

const told = (message) => (message instanceof Uint8Array ? `bytes ${message}` : JSON.stringify(message));

/** A talk over a channel: a message each `every` seconds both ways, from now on and without an end. */
globalThis.Talk = class {
  sent = 0;
  received = 0;
  /** The first messages that were not the one that was due, each behind that. */
  wrong = [];
  /** All events but messages, with the time of the clock on the wall in seconds. */
  events = [];
  /** The counts of the sends that are not settled; and of those that failed, outside of a reset. */
  pending = new Set();
  failed = [];
  /** For each reset: what was told, beside what was pending. */
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
    this.#timer = setInterval(() => this.#say(), every * 1000);
  }

  #say() {
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
    if (told(due) !== told(data) && this.wrong.length < 3) this.wrong.push([due, data].map((one) => told(one).slice(0, 200)));
  }

  /** A new session: the counts begin anew. What is still to be asked is asked again. */
  #reset({ reason, lost, sends }) {
    const counts = new Map([...this.pending].map((count) => [told(ordinary(count)), count]));
    const fates = {};
    for (const { message, fate } of sends) {
      const count = counts.get(told(message));
      if (count) (fates[fate] ??= []).push(count);
    }
    this.resets.push({ reason, lost, fates, sent: this.sent, pending: [...this.pending] });
    this.pending = new Set();
    this.sent = this.received = 0;
    this.channel.send({ every: this.every });
  }

  /**
   * Asks the handler, and answers once all that was said before has arrived, in both directions: what was wrong
   * by then, nothing where all is well, and the seconds that it took.
   */
  async ask() {
    const begun = performance.now();
    const asked = ++this.#asked;
    const { sent } = this;
    const answer = new Promise((resolve) => this.#answers.set(asked, resolve));
    await this.channel.send({ ask: asked });
    const { sent: theirs, received, wrong, here } = await answer;
    const found = [...this.wrong, ...wrong, ...this.failed];
    if (received !== sent) found.push(`of ${sent} that were sent the handler received ${received}`);
    if (here !== theirs) found.push(`of ${theirs} that the handler sent ${here} were received`);
    return { wrong: found, sent, received: theirs, seconds: (performance.now() - begun) / 1000 };
  }

  stop() {
    clearInterval(this.#timer);
  }
};

/** A talk over each of these transports, with channels of their own to this page's server: `talks` of the page. */
globalThis.startTalks = (every, transports, options) => {
  globalThis.talks = transports.map((name) => new Talk(new Channel("/chat", { ...options, transports: [name] }), every));
};

/** Asks all of them, and answers what they found, in that order. */
globalThis.askAll = () => Promise.all(talks.map((talk) => talk.ask()));

/** How often each had an event of that type. */
globalThis.countOf = (type) => talks.map(({ events }) => events.filter((event) => event.type === type).length);
