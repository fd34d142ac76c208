// The constructor, the interface of the object, and how a socket opens.
Object.assign(behaviours, {
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
});
