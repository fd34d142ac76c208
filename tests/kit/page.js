// What the tests call in a page: put into each by `tests.kit.browser`, before the page's own script.

/** The message of that number: no two are alike, and none compresses well. `numbered` of `tests/kit/apps.py` is the same. */
globalThis.numbered = (index) => {
  const words = [2654435761, 2246822519, 3266489917].map((factor) => (index * factor) % 2 ** 32);
  return `${index}:${words.map((word) => word.toString(16).padStart(8, "0")).join("")}`;
};

/** Opens `channel`, and keeps what happens: `seen`, the messages; `events`, all events, in order. */
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

/** The POSTs of the uplink whose answer is not whole yet. */
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

/** Sends, and keeps in `fates` what became of it: "handled", or the error's code and fate. */
globalThis.fates = {};
globalThis.sendAndKeep = (message) => {
  fates[message] = "pending";
  channel.send(message).then(
    () => (fates[message] = "handled"),
    (error) => (fates[message] = `${error.code}: ${error.fate}`),
  );
};

/**
 * Sends `count` numbered messages, in chunks of which two are on their way at a time, and expects as many.
 * `chunkDone(k)` is awaited as the k-th chunk is settled. Answers what was wrong.
 */
globalThis.campaign = async ({ count, chunk, ...options }) => {
  start(options);
  const wrong = [];
  let received = 0;
  const all = new Promise((resolve) =>
    channel.addEventListener("message", ({ data }) => {
      received++;
      if (data !== numbered(received) && wrong.length < 10) wrong.push([numbered(received), data]);
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
