// What the WebSockets standard says of `WebSocket`, as far as it does not depend on the wire: one function for each
// behaviour. `tests/browser/test_websocket_interface.py` runs each with the browser's own class and with ours.
//
// A function gets the class, and the URL below which the endpoints of `tests/support/existing_websockets.py` are.
// It throws if the class behaves otherwise. A name is unique, and short: it names the test.

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

const behaviours = {
  // The constructor

  "url-is-serialized": (W) => {
    for (const [url, expected] of [
      ["ws://EXAMPLE.test", "ws://example.test/"],
      ["wss://example.test:443/a/../b?c d", "wss://example.test/b?c%20d"],
      ["ws://example.test:8080/\u00e9", "ws://example.test:8080/%C3%A9"],
      ["http://example.test:80/x", "ws://example.test/x"],
      ["https://example.test:443/x", "wss://example.test/x"],
      ["wss://example.test:80/", "wss://example.test:80/"],
      [new URL("ws://example.test/x"), "ws://example.test/x"],
      [{ toString: () => "ws://example.test/y" }, "ws://example.test/y"],
    ]) {
      const socket = new W(url);
      equal(socket.url, expected);
      socket.close();
    }
  },

  "url-may-be-relative": (W) => {
    for (const url of ["/ws/x?y", "bare", "?z", null, undefined]) {
      const socket = new W(url);
      equal(socket.url, new URL(url, location.href).href.replace("http", "ws"));
      socket.close();
    }
  },

  "url-that-is-none-is-refused": (W) => {
    for (const url of ["ws://[", "ftp://example.test/", "mailto:a@example.test", "about:blank", "javascript:1"])
      throws("SyntaxError", () => new W(url));
    for (const url of ["ws://example.test/#", "/x#y"]) throws("SyntaxError", () => new W(url));
    throws("SyntaxError", () => new W("ws://example.test:99999/"));
  },

  "constructor-needs-url-and-new": (W) => {
    throws("TypeError", () => new W());
    throws("TypeError", () => W("ws://example.test/"));
    throws("RangeError", () => new W({ toString: () => { throw new RangeError(); } }));
    throws("TypeError", () => new W(Symbol("x")));
    throws("TypeError", () => new W("ws://example.test/", Symbol("x")));
    throws("TypeError", () => new W("ws://example.test/", [Symbol("x")]));
  },

  "subprotocols-are-checked": (W, base) => {
    for (const names of ["", "a b", "a,b", "a\u0080", "a\n", "(", [""], ["a", "a"], ["a", "b", "a"], ["x", "a/b"], {}])
      throws("SyntaxError", () => new W(base, names));
    const token = "!#$%&'*+-.^_`|~09azAZ";
    for (const names of ["a", token, [], ["a", "A"], ["1"], new Set(["a", "b"]), null, 7])
      new W(`${base}/echo`, names).close();
  },

  "new-socket-connects": (W, base) => {
    const socket = new W(`${base}/echo`);
    const { readyState, bufferedAmount, protocol, extensions, binaryType } = socket;
    equal({ readyState, bufferedAmount, protocol, extensions, binaryType }, {
      readyState: 0, bufferedAmount: 0, protocol: "", extensions: "", binaryType: "blob",
    });
    equal(TYPES.map((type) => socket[`on${type}`]), [null, null, null, null]);
    socket.close();
  },

  // The interface

  "states-are-constants": (W, base) => {
    const socket = new W(`${base}/echo`);
    const states = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
    for (const [name, value] of Object.entries(states))
      for (const owner of [W, W.prototype, socket]) {
        equal(owner[name], value);
        throws("TypeError", () => { "use strict"; owner[name] = 9; });
        equal(owner[name], value);
      }
    socket.close();
  },

  "attributes-cannot-be-set": (W, base) => {
    const socket = new W(`${base}/echo`);
    for (const name of ["url", "readyState", "bufferedAmount", "protocol", "extensions"]) {
      const value = socket[name];
      throws("TypeError", () => { "use strict"; socket[name] = "x"; });
      equal(socket[name], value);
    }
    equal(Object.keys(socket).filter((name) => name !== "channel" && !/^.{0,3}$|^_/.test(name)), []);
    socket.close();
  },

  "object-is-event-target": async (W, base) => {
    const socket = await open(W, `${base}/echo`);
    equal(socket instanceof W && socket instanceof EventTarget, true);
    equal(Object.prototype.toString.call(socket), "[object WebSocket]");
    equal(socket.constructor === W, true);
    const seen = [];
    socket.addEventListener("mine", (event) => seen.push(event.type, event.target === socket));
    socket.onmessage = ({ data }) => seen.push(data);
    socket.dispatchEvent(new Event("mine"));
    socket.dispatchEvent(new MessageEvent("message", { data: "made by the page" }));
    equal(seen, ["mine", true, "made by the page"]);
    socket.close();
  },

  "handlers-take-their-turn": async (W, base) => {
    const socket = new W(`${base}/echo`);
    const seen = [];
    socket.addEventListener("open", () => seen.push("first"));
    socket.onopen = () => seen.push("replaced");
    socket.addEventListener("open", () => seen.push("last"));
    socket.onopen = function (event) {
      seen.push("handler", this === socket, event.currentTarget === socket);
    };
    await next(socket, "open");
    equal(seen, ["first", "handler", true, true, "last"]);
    for (const value of [null, undefined, 5, "alert()"]) {
      socket.onmessage = () => {};
      socket.onmessage = value;
      equal(socket.onmessage, null);
    }
    socket.close();
  },

  "listeners-can-be-removed": async (W, base) => {
    const socket = await open(W, `${base}/echo`);
    const seen = [];
    const removed = () => seen.push("removed");
    const controller = new AbortController();
    socket.addEventListener("message", removed);
    socket.addEventListener("message", removed, { signal: controller.signal, capture: true });
    socket.addEventListener("message", { handleEvent: ({ data }) => seen.push(data) }, { once: true });
    socket.removeEventListener("message", removed);
    controller.abort();
    for (const text of ["a", "b"]) {
      socket.send(text);
      await next(socket, "message");
    }
    equal(seen, ["a"]);
    socket.close();
  },

  "class-can-be-extended": async (W, base) => {
    class Derived extends W {
      constructor(path) {
        super(base + path, ["a"]);
        this.extra = 1;
      }
      send(text) {
        super.send(`${text}!`);
      }
      get state() {
        return super.readyState;
      }
    }
    const socket = new Derived("/echo?choose=a");
    equal([socket instanceof Derived, socket instanceof W, socket.extra, socket.state], [true, true, 1, 0]);
    await next(socket, "open");
    socket.send("x");
    const { data } = await next(socket, "message");
    equal([data, socket.state, socket.protocol], ["x!", 1, "a"]);
    socket.close();
  },

  // Opening

  "open-event-is-plain": async (W, base) => {
    const socket = new W(`${base}/echo`);
    const event = await next(socket, "open");
    equal([event.constructor.name, event.bubbles, event.cancelable], ["Event", false, false]);
    equal([event.target === socket, socket.readyState, socket.protocol], [true, 1, ""]);
    socket.close();
  },

  "listener-added-after-microtasks": async (W, base) => {
    const socket = new W(`${base}/echo?greet=a&greet=b`);
    for (let turn = 0; turn < 50; turn++) await null;
    equal(socket.readyState, 0);
    await next(socket, "open");
    for (let turn = 0; turn < 50; turn++) await null;
    const { data } = await next(socket, "message");
    equal(data, "a");
    socket.close();
  },

  "subprotocol-is-the-chosen-one": async (W, base) => {
    for (const [names, choice] of [[["a", "b"], "b"], ["a", "a"], [new Set(["x", "A"]), "A"]]) {
      const socket = await open(W, `${base}/echo?choose=${choice}`, names);
      equal(socket.protocol, choice);
      socket.close();
      await next(socket, "close");
      equal(socket.protocol, choice);
    }
  },

  "subprotocol-must-be-chosen": async (W, base) => {
    const socket = new W(`${base}/echo`, ["a", "b"]);
    equal(await events(socket), FAILED);
    equal(socket.protocol, "");
  },

  "denial-is-error-then-close": async (W, base) => {
    for (const status of [403, 401, 500, 302]) {
      const socket = new W(`${base}/deny?status=${status}`);
      const kinds = [];
      const found = await events(socket, (event) =>
        kinds.push(event.constructor.name, event.bubbles, event.cancelable, event.target === socket));
      equal(found, FAILED);
      equal(kinds, ["Event", false, false, true, "CloseEvent", false, false, true]);
      throws("InvalidAccessError", () => socket.close(1));
      socket.close();
      equal(socket.readyState, 3);
    }
  },

  // Messages

  "send-while-connecting-throws": (W, base) => {
    const socket = new W(`${base}/echo`);
    throws("InvalidStateError", () => socket.send("x"));
    throws("InvalidStateError", () => socket.send(new Blob(["x"])));
    equal(socket.bufferedAmount, 0);
    // What is wrong with an argument comes first.
    throws("TypeError", () => socket.send(Symbol("x")));
    throws("RangeError", () => socket.send({ toString: () => { throw new RangeError(); } }));
    socket.close();
  },

  "send-needs-argument": async (W, base) => {
    const socket = await open(W, `${base}/echo`);
    throws("TypeError", () => socket.send());
    throws("TypeError", () => socket.send(Symbol("x")));
    equal(socket.readyState, 1);
    equal(socket.send("x"), undefined);
    socket.close();
  },

  "text-comes-back": async (W, base) => {
    const texts = ["", "x", "\u00e9\u4e16\u{1f600}", "\u0000\u2028\n\r\t", '{"accept":null}', "[1,2]", "x".repeat(1e5)];
    equal(await echo(W, base, texts), texts);
  },

  "lone-surrogate-becomes-u-fffd": async (W, base) => {
    equal(await echo(W, base, ["a\ud800b", "\udc00\ud800", "\ud83d\ude00"]), ["a\ufffdb", "\ufffd\ufffd", "\u{1f600}"]);
  },

  "other-values-are-sent-as-text": async (W, base) => {
    const values = [null, undefined, true, 7.5, { a: 1 }, [1, 2], { toString: () => "made" }, new String("boxed")];
    const texts = ["null", "undefined", "true", "7.5", "[object Object]", "1,2", "made", "boxed"];
    equal(await echo(W, base, values), texts);
  },

  "bytes-come-back": async (W, base) => {
    const { buffer } = new Uint8Array([0, 1, 127, 128, 255, 6, 7, 8]);
    const messages = [
      buffer, new Uint8Array(buffer, 2, 3), new DataView(buffer, 6), new Int16Array(buffer, 2, 1),
      new Float64Array([1.5]), new ArrayBuffer(0), new Uint8Array(0), new Uint8ClampedArray([9]),
    ];
    equal(await echo(W, base, messages), [
      [0, 1, 127, 128, 255, 6, 7, 8], [127, 128, 255], [7, 8], [127, 128],
      [0, 0, 0, 0, 0, 0, 248, 63], [], [], [9],
    ]);
  },

  "blobs-keep-their-place": async (W, base) => {
    const blob = new Blob(["bl", "ob"], { type: "text/plain" });
    const file = new File(["file"], "name");
    const found = await echo(W, base, ["a", blob, "b", new Uint8Array([1]), file, new Blob([]), "c", "d", blob.slice(1, 2)]);
    const bytes = (text) => [...new TextEncoder().encode(text)];
    equal(found, ["a", bytes("blob"), "b", [1], bytes("file"), [], "c", "d", bytes("l")]);
  },

  "bytes-are-taken-when-sent": async (W, base) => {
    const bytes = new Uint8Array([1, 2, 3]);
    const sent = echo(W, base, [new Blob(["x"]), { toString: () => (bytes.fill(9), "filled") }, bytes]);
    equal(await sent, [[120], "filled", [9, 9, 9]]);
    const socket = await open(W, `${base}/echo`);
    socket.binaryType = "arraybuffer";
    const mine = new Uint8Array([4, 5]);
    socket.send(mine);
    socket.send(new Blob(["z"]));
    socket.send(mine.subarray(1));
    mine.fill(0);
    const seen = [];
    socket.onmessage = ({ data }) => seen.push(...new Uint8Array(data));
    while (seen.length < 4) await next(socket, "message");
    equal(seen, [4, 5, 122, 5]);
    socket.close();
  },

  "values-of-another-realm-are-sent": async (W, base) => {
    if (!globalThis.document) return; // a worker has no frames
    const frame = document.body.appendChild(document.createElement("iframe"));
    const { ArrayBuffer, Uint8Array: Bytes, Blob } = frame.contentWindow;
    const found = await echo(W, base, [new ArrayBuffer(1), new Bytes([2, 3]), new Blob(["a"]), "b"]);
    frame.remove();
    equal(found, [[0], [2, 3], [97], "b"]);
  },

  "many-messages-stay-in-order": async (W, base) => {
    const messages = Array.from({ length: 300 }, (_, index) => (index % 3 ? `${index}` : new Uint8Array([index % 256])));
    equal(await echo(W, base, messages), messages.map((one) => (typeof one === "string" ? one : [...one])));
  },

  "binary-type-holds-at-delivery": async (W, base) => {
    const socket = await open(W, `${base}/echo`);
    const seen = [];
    socket.onmessage = ({ data }) => {
      seen.push(data);
      socket.binaryType = socket.binaryType === "blob" ? "arraybuffer" : "blob";
    };
    for (const value of [1, 2, 3]) socket.send(new Uint8Array([value, value]));
    while (seen.length < 3) await next(socket, "message");
    equal(seen.map((data) => data.constructor.name), ["Blob", "ArrayBuffer", "Blob"]);
    equal([seen[0].size, seen[0].type, [...new Uint8Array(await seen[0].arrayBuffer())]], [2, "", [1, 1]]);
    equal(seen[1].byteLength, 2);
    for (const value of ["text", "ArrayBuffer", "", null, undefined]) socket.binaryType = value;
    equal(socket.binaryType, "arraybuffer");
    socket.close();
  },

  "message-event-has-its-fields": async (W, base) => {
    const socket = await open(W, `${base}/echo?greet=x`);
    const event = await next(socket, "message");
    equal(event instanceof MessageEvent, true);
    equal([event.data, event.origin, event.lastEventId, event.source, event.ports.length], ["x", base.match(/^.*?:\/\/[^/]+/)[0], "", null, 0]);
    equal([event.bubbles, event.cancelable, event.target === socket], [false, false, true]);
    socket.close();
  },

  "each-event-is-a-task": async (W, base) => {
    const socket = new W(`${base}/echo?greet=a&greet=b&greet=c&greet=d`);
    const wait = async (type) => {
      const event = await next(socket, type);
      for (let turn = 0; turn < 20; turn++) await null;
      return event.data;
    };
    equal([await wait("open"), await wait("message"), await wait("message")], [undefined, "a", "b"]);
    equal([await wait("message"), await wait("message")], ["c", "d"]);
    socket.close();
  },

  "exception-stops-no-other-listener": async (W, base) => {
    const told = [];
    const onError = (event) => (told.push(event.error.message), event.preventDefault());
    addEventListener("error", onError);
    const socket = await open(W, `${base}/echo`);
    const seen = [];
    socket.onmessage = () => { throw new Error("of a handler"); };
    socket.addEventListener("message", ({ data }) => seen.push(data));
    socket.onclose = () => { throw new Error("of a close"); };
    socket.send("a");
    socket.send("b");
    while (seen.length < 2) await next(socket, "message");
    socket.close();
    await next(socket, "close");
    removeEventListener("error", onError);
    equal([seen, told], [["a", "b"], ["of a handler", "of a handler", "of a close"]]);
  },

  // bufferedAmount

  "buffered-amount-counts-bytes": async (W, base) => {
    const socket = await open(W, `${base}/echo`);
    const counts = [];
    for (const message of ["abc", "\u00e9\u{1f600}", "\ud800", "", new ArrayBuffer(4), new Uint16Array(3), new Blob(["blob"])]) {
      socket.send(message);
      counts.push(socket.bufferedAmount);
    }
    equal(counts, [3, 9, 12, 12, 16, 22, 26]);
    for (let count = 0; count < 7; count++) await next(socket, "message");
    while (socket.bufferedAmount) await new Promise((resolve) => setTimeout(resolve));
    socket.close();
  },

  "buffered-amount-grows-after-close": async (W, base) => {
    const socket = await open(W, `${base}/echo`);
    socket.close();
    for (const message of ["abc", new Uint8Array(2), new Blob(["x"])]) equal(socket.send(message), undefined);
    equal(socket.bufferedAmount, 6);
    await next(socket, "close");
    equal(socket.bufferedAmount, 6);
    socket.send("\u00e9");
    equal(socket.bufferedAmount, 8);
    throws("TypeError", () => socket.send());
  },

  // Closing

  "close-without-code-is-1005": async (W, base) => {
    for (const words of [[], [undefined], [undefined, undefined]]) {
      const socket = await open(W, `${base}/echo`);
      equal(socket.close(...words), undefined);
      equal(await events(socket), [["close", 3, 1005, "", true]]);
    }
  },

  "close-has-code-and-reason": async (W, base) => {
    for (const [words, code, reason] of [
      [[1000], 1000, ""],
      [[1000, "done"], 1000, "done"],
      [[3000, ""], 3000, ""],
      [[4999, "\u00e9".repeat(61) + "x"], 4999, "\u00e9".repeat(61) + "x"],
      [["3001", 7], 3001, "7"],
      [[3000.4, null], 3000, "null"],
      [[1000.5], 1000, ""],
      [[3000.5], 3000, ""],
      [[3002, "a\ud800"], 3002, "a\ufffd"],
    ]) {
      const name = `close ${code} ${Math.random()}`;
      const socket = await open(W, `${base}/echo?name=${encodeURIComponent(name)}`);
      socket.close(...words);
      equal(await events(socket), [["close", 3, code, reason, true]]);
      equal((await report(name, 2)).at(-1), ["disconnect", code, reason]);
    }
  },

  "close-checks-its-arguments": async (W, base) => {
    const socket = new W(`${base}/echo`);
    const check = () => {
      for (const code of [0, 500, 999, 1001, 1005, 1006, 2999, 5000, 65536 + 3000, -1, NaN, Infinity, null, "x", {}])
        throws("InvalidAccessError", () => socket.close(code));
      throws("SyntaxError", () => socket.close(1000, "x".repeat(124)));
      throws("SyntaxError", () => socket.close(3000, "\u00e9".repeat(62)));
      for (const value of [Symbol("x"), 1000n]) throws("TypeError", () => socket.close(value));
      throws("TypeError", () => socket.close(1000, Symbol("x")));
    };
    check();
    await next(socket, "open");
    check();
    equal(socket.readyState, 1);
    socket.close();
    check();
    await next(socket, "close");
    check();
  },

  "close-changes-state-at-once": async (W, base) => {
    const socket = await open(W, `${base}/echo`);
    const seen = record(socket);
    socket.close(3001, "first");
    equal(socket.readyState, 2);
    socket.close(3002, "second");
    equal(socket.readyState, 2);
    await next(socket, "close");
    socket.close(3003);
    await settle(W, base);
    equal([seen, socket.readyState], [[["close", 3, 3001, "first", true]], 3]);
  },

  "close-delivers-what-was-sent": async (W, base) => {
    const name = `flush ${Math.random()}`;
    const socket = await open(W, `${base}/echo?name=${name}`);
    socket.send("a");
    socket.send(new Blob([new Uint8Array([1, 2])]));
    socket.send("b");
    socket.close(3000, "done");
    socket.send("c");
    await next(socket, "close");
    equal(await report(name, 5), [["connect", []], "a", [1, 2], "b", ["disconnect", 3000, "done"]]);
  },

  "close-ends-messages": async (W, base) => {
    const socket = await open(W, `${base}/echo`);
    const seen = record(socket);
    socket.send("push 50");
    await next(socket, "message");
    socket.close();
    await next(socket, "close");
    equal(seen, [["message", 1, "0"], ["close", 3, 1005, "", true]]);
  },

  "close-while-connecting-fails": async (W, base) => {
    for (const words of [[], [3000, "never mind"]]) {
      const socket = new W(`${base}/echo`);
      const seen = record(socket);
      socket.close(...words);
      equal([socket.readyState, seen], [2, []]);
      socket.close();
      await next(socket, "close");
      await settle(W, base);
      equal([seen, socket.readyState], [FAILED, 3]);
    }
  },

  "close-before-the-accept-fails": async (W, base) => {
    const name = `silent ${Math.random()}`;
    const socket = new W(`${base}/silent?name=${name}`);
    await report(name);
    socket.close();
    equal(await events(socket), FAILED);
  },

  "close-of-server-is-told": async (W, base) => {
    for (const [code, reason] of [[1000, ""], [1001, "away"], [1008, "no"], [1011, "\u00e9"], [3000, "x"], [4999, "y".repeat(123)]]) {
      const socket = await open(W, `${base}/echo`);
      socket.send(`close ${code} ${reason}`);
      const kinds = [];
      equal(await events(socket, (event) => kinds.push(event.constructor.name)), [["close", 3, code, reason, true]]);
      equal(kinds, ["CloseEvent"]);
    }
  },

  "close-of-server-follows-messages": async (W, base) => {
    const socket = await open(W, `${base}/echo?greet=a`);
    socket.send("b");
    socket.send("close 3000 bye");
    const found = await events(socket);
    equal(found, [["message", 1, "a"], ["message", 1, "b"], ["close", 3, 3000, "bye", true]]);
  },

  "close-in-every-listener": async (W, base) => {
    const socket = new W(`${base}/echo?greet=a&greet=b`);
    const found = await events(socket, ({ type }) => {
      if (type !== "open") socket.close(3000, type);
    });
    equal(found, [["open", 1], ["message", 1, "a"], ["close", 3, 3000, "message", true]]);
    const opened = new W(`${base}/echo?greet=a`);
    equal(await events(opened, () => opened.close(3000, "x")), [["open", 1], ["close", 3, 3000, "x", true]]);
    const denied = new W(`${base}/deny`);
    equal(await events(denied, () => denied.close(3000, "x")), FAILED);
  },

  "send-in-every-listener": async (W, base) => {
    const socket = new W(`${base}/echo`);
    let count = 0;
    const found = await events(socket, ({ type }) => {
      socket.send(type);
      if (++count === 4) socket.close();
    });
    equal(found.map(([type, , data]) => [type, data]), [
      ["open", undefined], ["message", "open"], ["message", "message"], ["message", "message"], ["close", 1005],
    ]);
  },

  "nothing-follows-close-event": async (W, base) => {
    const socket = await open(W, `${base}/echo`);
    socket.send("push 20");
    socket.close();
    await next(socket, "close");
    const seen = record(socket);
    socket.send("x");
    socket.close();
    await settle(W, base);
    equal([seen, socket.readyState], [[], 3]);
  },

  "sockets-are-apart": async (W, base) => {
    const sockets = ["a", "b", "c"].map((name) => new W(`${base}/echo?greet=${name}`));
    equal(await Promise.all(sockets.map(async (socket) => (await next(socket, "message")).data)), ["a", "b", "c"]);
    sockets[1].close();
    await next(sockets[1], "close");
    for (const socket of [sockets[0], sockets[2]]) {
      socket.send("still here");
      equal((await next(socket, "message")).data, "still here");
      socket.close();
    }
  },
};

globalThis.behaviours = behaviours;
