// What can be sent, what arrives, and `bufferedAmount`.
Object.assign(behaviours, {
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
});
