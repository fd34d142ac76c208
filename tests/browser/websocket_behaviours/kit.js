// What the WebSockets standard says of `WebSocket`, as far as it does not depend on the wire: one function for each
// behaviour. `tests/browser/test_websocket_interface.py` runs each with the browser's own class and with ours.
//
// A function gets the class, and the URL below which the endpoints of `tests/support/existing_websockets.py` are.
// It throws if the class behaves otherwise. Its name is what a failure is told by.

const equal = (found, expected) => {
  const [one, other] = [found, expected].map((value) => JSON.stringify(value) ?? String(value));
  if (one !== other) throw new Error(`found ${one}, expected ${other}`);
};

/** Checks that `act` throws an exception of this name. */
const throws = (name, act) => {
  try {
    act();
  } catch (error) {
    return equal(error.name, name);
  }
  throw new Error(`${act} did not throw`);
};

const TYPES = ["open", "message", "error", "close"];

/** Resolves with the next event of a type. */
const next = (socket, type) => new Promise((resolve) => socket.addEventListener(type, resolve, { once: true }));

/** Returns an open socket. */
const open = async (W, url, protocols) => {
  const socket = protocols ? new W(url, protocols) : new W(url);
  await next(socket, "open");
  return socket;
};

/** Records the events of a socket: the type, `readyState`, and what a message or a close brings. */
const record = (socket) => {
  const events = [];
  for (const type of TYPES)
    socket.addEventListener(type, ({ data, code, reason, wasClean }) => {
      const fields = type === "message" ? [data] : type === "close" ? [code, reason, wasClean] : [];
      events.push([type, socket.readyState, ...fields]);
    });
  return events;
};

/** Returns the events of a socket up to its close, while `act` is called with each event. */
const events = async (socket, act = () => {}) => {
  const seen = record(socket);
  for (const type of TYPES) socket.addEventListener(type, (event) => act(event, socket));
  await next(socket, "close");
  return seen;
};

/** Lets everything that a socket might still do happen: another one opens and closes in the meantime. */
const settle = async (W, base) => {
  const socket = await open(W, `${base}/echo`);
  socket.close();
  await next(socket, "close");
};

/** Sends messages to the echo, and returns what comes back, binary messages as arrays of bytes. */
const echo = async (W, base, messages) => {
  const socket = await open(W, `${base}/echo`);
  socket.binaryType = "arraybuffer";
  const seen = [];
  const all = new Promise((resolve) => {
    socket.onmessage = ({ data }) => {
      seen.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
      if (seen.length === messages.length) resolve();
    };
  });
  for (const message of messages) socket.send(message);
  await all;
  socket.close();
  return seen;
};

/** Returns what the server's endpoint has seen under a name, once it has seen as much as that. */
const report = async (name, length = 1) => {
  for (;;) {
    const seen = (await (await fetch("/report")).json())[name] ?? [];
    if (seen.length >= length) return seen;
  }
};

const FAILED = [
  ["error", 3],
  ["close", 3, 1006, "", false],
];

const behaviours = {};
globalThis.behaviours = behaviours;
