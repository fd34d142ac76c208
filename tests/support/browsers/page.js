// Functions that the tests call in a page. `tests.support.browsers.chromium` loads this before the page's own script.

const LARGEST = 262144;
const ODD = ["\u2028", "\u2029", "\u0085", "\x00", "\x1f\x7f", "a\r\nb\n", '"\\', "\ufeff", "\ufffe\uffff", ""];

/** Returns message number `index`. `numbered` of `tests/support/messages.py` returns the same, and explains why. */
globalThis.numbered = (index) => {
  switch (index % 3000) {
    case 1:
      return `${index}:` + fill(LARGEST - `"${index}:"`.length, "\u{1f600}");
    case 1001:
      return values(index, LARGEST);
    case 2001:
      return { number: index, fill: fill(LARGEST - `{"number":${index},"fill":""}`.length, "\u2028") };
  }
  switch (index % 10) {
    case 0:
      return { number: index, unicode: unicode(((index / 10 - 1) % 1000) * 1113) };
    case 3:
    case 7: {
      const count = Math.floor(index / 5);
      return values(index, count % 100 === 99 ? 2 ** (Math.floor(count / 100) % 19) - 1 : count % 257);
    }
    case 5: {
      let deep = index;
      for (let level = 0; level < index % 60; level++) deep = [deep];
      return {
        number: index,
        [ODD[Math.floor(index / 10) % ODD.length]]: ODD,
        empty: [{}, [], "", null, true, false, { "": [[]] }],
        integers: [0, -1, 2 ** 53 - 1, 1 - 2 ** 53],
        floats: [(index + 0.5) / 7, -(index + 0.25) / 3, 5e-324, 4503599627370495.5, 1e-7],
        deep,
      };
    }
  }
  const words = [2654435761, 2246822519, 3266489917].map((factor) => (index * factor) % 2 ** 32);
  return `${index}:${words.map((word) => word.toString(16).padStart(8, "0")).join("")}`;
};

/** Returns a string of `size` bytes of UTF-8. */
const fill = (size, character) => {
  const width = new TextEncoder().encode(character).length;
  return character.repeat(Math.floor(size / width)) + "x".repeat(size % width);
};

/** Returns `size` bytes: the number, then all byte values in turn. */
const values = (index, size) =>
  Uint8Array.from({ length: size }, (_, at) => (at < 4 ? index >>> (24 - 8 * at) : index + at - 4));

/** Returns 1113 code points from `first` on, without surrogates. */
const unicode = (first) => {
  let text = "";
  for (let at = first; at < Math.min(first + 1113, 0x110000 - 0x800); at++)
    text += String.fromCodePoint(at < 0xd800 ? at : at + 0x800);
  return text;
};

/** Returns whether both have the same content and type. */
const same = (due, message) =>
  due instanceof Uint8Array
    ? message instanceof Uint8Array && due.length === message.length && due.every((value, at) => value === message[at])
    : !(message instanceof Uint8Array) && JSON.stringify(due) === JSON.stringify(message);

/** Opens `channel`, and records its messages in `seen` and all its events in `events`, in order. */
globalThis.start = (options = {}) => {
  const channel = (globalThis.channel = new Channel("/chat", { retryBase: 0.05, retryMax: 0.2, ...options }));
  const events = (globalThis.events = []);
  const seen = (globalThis.seen = []);
  const keep = (type, ...names) =>
    channel.addEventListener(type, (event) =>
      events.push({ type, ...Object.fromEntries(names.map((name) => [name, event[name]])) }),
    );
  keep("open");
  keep("transport", "transport");
  keep("recovering", "reason");
  keep("resumed", "replayed");
  keep("reset", "reason", "lost", "sends");
  keep("close", "code", "reason", "by", "wasClean");
  channel.addEventListener("message", ({ data }) => {
    seen.push(data);
    events.push({ type: "message", data });
  });
  return channel;
};

/** The number of uplink POSTs whose answer is not complete yet. */
globalThis.posting = 0;
const { fetch } = globalThis;
globalThis.fetch = async (url, options) => {
  if (!String(url).endsWith("/send")) return fetch(url, options);
  posting++;
  try {
    const answer = await fetch(url, options);
    const body = await answer.arrayBuffer();
    return new Response(body.byteLength ? body : null, { status: answer.status, headers: answer.headers });
  } finally {
    posting--;
  }
};

globalThis.happened = (type) => events.filter((event) => event.type === type);

/** Sends, and records the outcome in `fates`: "handled", or the error's code and fate. */
globalThis.fates = {};
globalThis.sendAndKeep = (message) => {
  fates[message] = "pending";
  channel.send(message).then(
    () => (fates[message] = "handled"),
    (error) => (fates[message] = `${error.code}: ${error.fate}`),
  );
};

/**
  * Sends `count` numbered messages in chunks, at most two of them in flight, and expects as many in return.
  * Awaits `chunkDone(k)` after chunk k is settled. Resolves to a report with the mismatches in `wrong`.
 */
globalThis.campaign = async ({ count, chunk, ...options }) => {
  start(options);
  const wrong = [];
  let received = 0;
  const all = new Promise((resolve) =>
    channel.addEventListener("message", ({ data }) => {
      received++;
      const due = numbered(received);
      if (!same(due, data) && wrong.length < 10) wrong.push([due, data].map((one) => JSON.stringify(one).slice(0, 200)));
      if (received === count) resolve();
    }),
  );
  await channel.send({ send: count });
  let settled = Promise.resolve();
  for (let first = 1, done = 0; first <= count; first += chunk) {
    const sends = [];
    for (let index = first; index < first + chunk && index <= count; index++) sends.push(channel.send(numbered(index)));
    await settled;
    await chunkDone(++done);
    settled = Promise.all(sends);
  }
  await settled;
  await all;
  return { received, wrong, statistics: channel.statistics(), closed: happened("close").length, resets: happened("reset") };
};
