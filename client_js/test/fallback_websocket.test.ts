// A WebSocket on a channel: how it opens, what it carries, and how it ends.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FAILED, SocketWorld, opened } from "./sockets.ts";

const bytes = (...values: number[]): ArrayBuffer => new Uint8Array(values).buffer;

/** Encodes bytes of the server as a binary message of a WebSocket (DAT-2). */
function binary(number: number, ...values: number[]): ArrayBuffer {
  const view = new DataView(new ArrayBuffer(16 + values.length));
  view.setBigUint64(0, BigInt(number));
  values.forEach((value, index) => view.setUint8(16 + index, value));
  return view.buffer;
}

describe("opening", () => {
  test("the open asks for the application, with the subprotocols (TGT-1)", async () => {
    const world = new SocketWorld();
    world.dial(["a", "b"]);
    const connection = await world.socket();
    assert.equal(connection.url, "ws://localhost/ws/rooms/7/websocket?lang=de");
    connection.open();
    const [open] = connection.take() as [{ target: unknown }];
    assert.deepEqual(open.target, { subprotocols: ["a", "b"] });
  });

  test("the socket is open from the accept on", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial(["a", "b"]);
    const connection = await world.openSocket();
    assert.deepEqual([socket.readyState, socket.protocol, events], [0, "", []]);
    assert.throws(() => socket.send("x"), { name: "InvalidStateError" });
    connection.receive([1, 0, { accept: "b" }, "hello"]);
    await world.settle();
    assert.deepEqual([socket.readyState, socket.protocol], [1, "b"]);
    assert.deepEqual(events, [
      ["open", 1],
      ["message", "hello"],
    ]);
    assert.deepEqual(world.said, []);
  });

  test("a denial is an error and an abnormal close", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.openSocket();
    connection.receive([1, 0, { deny: 403 }]);
    connection.receive({ type: "close", code: 1008, reason: "denied", by: "app", last: 1, ack: 0 });
    await world.settle();
    assert.deepEqual([events, socket.readyState, socket.channel.state], [FAILED, 3, "closed"]);
    assert.deepEqual(world.said, ["WebSocket connection to ws://localhost/ws/rooms/7 failed: denied with HTTP status 403"]);
  });

  for (const [accept, offered] of [
    [null, ["a"]],
    ["c", ["a"]],
    ["c", []],
    [undefined, []],
  ] as const)
    test(`accept ${accept} of ${JSON.stringify(offered)} fails`, async () => {
      const world = new SocketWorld();
      const { events } = world.dial([...offered]);
      (await world.openSocket()).receive([1, 0, { accept }]);
      await world.settle();
      assert.deepEqual(events, FAILED);
    });

  test("a first message that is no answer fails", async () => {
    for (const message of ["text", null, 7, [], { other: 1 }]) {
      const world = new SocketWorld();
      const { events } = world.dial();
      (await world.openSocket()).receive([1, 0, message]);
      await world.settle();
      assert.deepEqual(events, FAILED, JSON.stringify(message));
    }
  });

  test("a hub without an application fails once, and nothing is tried again", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.socket();
    connection.open();
    connection.receive({ type: "error", code: "not_found", message: "channels only" });
    await world.pass(600);
    assert.deepEqual([events, socket.channel.state, world.sockets.length], [FAILED, "closed", 0]);
    assert.match(world.said.join(), /failed: the server answers not_found: channels only/);
  });

  test("a server that cannot be reached fails once every transport has", async () => {
    const world = new SocketWorld();
    const { events } = world.dial([], { transports: ["websocket", "longpoll"] });
    (await world.socket()).end();
    (await world.request("poll")).fail();
    await world.pass(5);
    world.gets.shift()!.fail();
    await world.settle();
    assert.equal(world.pendingTimers, 0);
    for (const attempts of [world.sockets, world.requests]) attempts.length = 0;
    await world.pass(600);
    assert.deepEqual([events, world.sockets.length, world.requests.length], [FAILED, 0, 0]);
  });

  test("close before it is open fails, and the session is closed (CLS-2)", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.openSocket();
    socket.close(3000, "never mind");
    assert.equal(socket.readyState, 2);
    connection.receive([1, 0, { accept: null }, "hello"]);
    await world.settle();
    assert.deepEqual(events, FAILED);
    assert.deepEqual(connection.take()[0], { type: "close", code: 1001, reason: "", by: "app", last: 0, ack: 2 });
  });

  test("close in the task that makes it connects to nothing", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    socket.close();
    await world.pass(60);
    assert.deepEqual([events, world.sockets.length], [FAILED, 0]);
  });
});

describe("messages", () => {
  test("text and bytes are sent in order, behind a Blob too", async () => {
    const world = new SocketWorld();
    const { socket } = world.dial();
    const connection = await world.accept();
    socket.send("a");
    socket.send(bytes(1, 2));
    socket.send(new Blob(["blob"]));
    socket.send("é");
    const view = new Uint8Array([9, 8, 7]);
    socket.send(new DataView(view.buffer, 1));
    view.fill(0);
    assert.equal(socket.bufferedAmount, 1 + 2 + 4 + 2 + 2);
    await world.settle();
    const texts = connection.sent.map((wire) => (typeof wire === "string" ? wire : wire.slice(16).join()));
    assert.deepEqual(texts, ['[1,1,"a"]', "1,2", [...new TextEncoder().encode("blob")].join(), '[4,1,"é"]', "8,7"]);
    connection.receive({ type: "ack", ack: 3 });
    await world.settle();
    assert.equal(socket.bufferedAmount, 4);
  });

  test("what is no string and no bytes is sent as text", async () => {
    const world = new SocketWorld();
    const { socket } = world.dial();
    const connection = await world.accept();
    for (const value of [1, null, undefined, {}, [1, 2], "\ud800x\udc00", ""]) socket.send(value as string);
    await world.settle();
    assert.deepEqual(connection.take()[0], [
      1, 1, "1", "null", "undefined", "[object Object]", "1,2", "\ufffdx\ufffd", "",
    ]);
    assert.throws(() => socket.send(Symbol("x") as unknown as string), TypeError);
    assert.throws(() => (socket as unknown as { send: () => void }).send(), TypeError);
    assert.throws(() => socket.send(new Uint8Array(new SharedArrayBuffer(2)) as unknown as Uint8Array<ArrayBuffer>), TypeError);
  });

  test("bytes arrive as binaryType says when they are delivered", async () => {
    const world = new SocketWorld();
    const { socket } = world.dial();
    const connection = await world.accept();
    const seen: unknown[] = [];
    socket.onmessage = ({ data }) => {
      seen.push(data);
      socket.binaryType = "arraybuffer";
    };
    assert.equal(socket.binaryType, "blob");
    connection.receive(binary(2, 1, 2));
    connection.receive(binary(3, 3));
    await world.settle();
    const [blob, buffer] = seen as [Blob, ArrayBuffer];
    assert.deepEqual(new Uint8Array(await blob.arrayBuffer()), new Uint8Array([1, 2]));
    assert.deepEqual(new Uint8Array(buffer), new Uint8Array([3]));
    socket.binaryType = "text" as BinaryType;
    assert.equal(socket.binaryType, "arraybuffer");
  });

  test("JSON of the server arrives as text", async () => {
    const world = new SocketWorld();
    const { events } = world.dial();
    (await world.accept()).receive([2, 0, { a: [1] }, null]);
    await world.settle();
    assert.deepEqual(events.slice(1), [
      ["message", '{"a":[1]}'],
      ["message", "null"],
    ]);
  });

  test("each event has a task of its own", async () => {
    const world = new SocketWorld();
    const { socket } = world.dial();
    const next = (): Promise<unknown> => new Promise((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
    const later = async (): Promise<unknown> => await (await next());
    const connection = await world.openSocket();
    connection.receive([1, 0, { accept: null }, "a", "b", "c"]);
    assert.deepEqual([await later(), await later(), await later()], ["a", "b", "c"]);
  });

  test("a message above the server's limit fails the socket, after those before it", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    socket.send("small");
    socket.send("x".repeat(262144));
    socket.send("late");
    await world.settle();
    assert.deepEqual(events.slice(1), FAILED);
    assert.match(world.said.join(), /a message is above the server's limit of 262144 bytes/);
    const close = { type: "close", code: 1008, reason: "", by: "app", last: 1, ack: 1 };
    assert.deepEqual(connection.take(), [[1, 1, "small"], close]);
  });
});

describe("a message that cannot be sent", () => {
  test("because too many wait fails the socket, after those before it", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial([], { queueMessages: 2 });
    const connection = await world.accept();
    for (const message of ["a", "b", "c"]) socket.send(message);
    await world.settle();
    socket.send("d");
    await world.settle();
    assert.deepEqual(events.slice(1), FAILED);
    assert.match(world.said.join(), /failed: cannot send: 2 messages/);
    const close = { type: "close", code: 1008, reason: "", by: "app", last: 2, ack: 1 };
    assert.deepEqual(connection.take(), [[1, 1, "a", "b"], close]);
  });

  test("because its Blob cannot be read fails the socket, and nothing follows", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    const file = new Blob(["x"]);
    file.arrayBuffer = () => Promise.reject(new DOMException("the file has changed", "NotReadableError"));
    socket.send("before");
    socket.send(file);
    socket.send("after");
    socket.close();
    await world.settle();
    assert.deepEqual(events.slice(1), FAILED);
    assert.match(world.said.join(), /failed: NotReadableError: the file has changed/);
    const close = { type: "close", code: 1008, reason: "", by: "app", last: 1, ack: 1 };
    assert.deepEqual(connection.take(), [[1, 1, "before"], close]);
  });
});

describe("a cut", () => {
  test("leaves the socket open, and nothing is lost or repeated", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const first = await world.accept();
    socket.send("sent");
    await world.settle();
    first.take();
    first.end();
    socket.send("during the cut");
    assert.equal(socket.readyState, 1);
    await world.pass(2);
    const second = await world.socket();
    second.open();
    const [open] = second.take() as [{ target: object }];
    assert.deepEqual(open.target, { subprotocols: [] });
    second.receive(opened(open, { received: 1, sent: 2 }));
    second.receive([2, 1, "answer"]);
    await world.settle();
    assert.deepEqual(second.take().slice(1), [[2, 2, "during the cut"]]);
    assert.deepEqual(events, [
      ["open", 1],
      ["message", "answer"],
    ]);
  });

  test("before the accept leaves the socket connecting", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    (await world.openSocket()).end();
    await world.pass(2);
    assert.equal(socket.readyState, 0);
    await world.accept();
    assert.deepEqual(events, [["open", 1]]);
  });
});

describe("the end of the session", () => {
  test("a reset fails the socket once, and no session is opened (RES-4)", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    socket.send("sent");
    await world.settle();
    connection.receive([2, 0, "last"]);
    connection.receive({ type: "reset", reason: "expired", lost: null, handled: null, in_hand: null });
    socket.send("late");
    await world.pass(600);
    assert.deepEqual(events.slice(1), [["message", "last"], ...FAILED]);
    assert.deepEqual([world.sockets.length, socket.readyState, socket.channel.state], [0, 3, "closed"]);
    socket.send("after");
    assert.equal(socket.bufferedAmount, "sentlateafter".length);
  });

  test("a session in place of the one that was lost is closed, and gets no message (RES-2)", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    socket.send("sent");
    await world.settle();
    connection.end();
    socket.send("during the cut");
    socket.send(new Blob(["later"]));
    await world.pass(2);
    const next = await world.socket();
    next.open();
    const loss = { reason: "restarted", lost: null, handled: null, in_hand: null };
    next.receive(opened(next.take()[0], { verdict: "reset", session: "token-b", id: "b", reset: loss }));
    next.receive([1, 0, { accept: null }, "of another session"]);
    await world.settle();
    assert.deepEqual(next.take(), [
      { type: "ack", ack: 2 },
      { type: "close", code: 1001, reason: "", by: "app", last: 0, ack: 2 },
    ]);
    next.receive({ type: "close", code: 1001, reason: "", by: "app", last: 1, ack: 0 });
    await world.pass(600);
    assert.deepEqual(events.slice(1), FAILED);
    assert.deepEqual([world.sockets.length, socket.channel.state], [0, "closed"]);
  });

  test("a reset before the accept fails the socket (RES-4)", async () => {
    const world = new SocketWorld();
    const { events } = world.dial();
    const connection = await world.openSocket();
    connection.receive({ type: "reset", reason: "expired", lost: null, handled: null, in_hand: null });
    await world.pass(600);
    assert.deepEqual([events, world.sockets.length], [FAILED, 0]);
  });

  test("a reset of a socket that is closing is an error too (RES-2)", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    connection.end();
    socket.send("last");
    socket.close(3000);
    const next = await world.socket();
    next.open();
    const loss = { reason: "restarted", lost: null, handled: null, in_hand: null };
    next.receive(opened(next.take()[0], { verdict: "reset", session: "token-b", id: "b", reset: loss }));
    await world.settle();
    const close = { type: "close", code: 3000, reason: "", by: "app", last: 0, ack: 0 };
    assert.deepEqual(next.take(), [{ type: "ack", ack: 0 }, close]);
    next.receive({ ...close, ack: 0 });
    await world.pass(600);
    assert.deepEqual(events.slice(1), FAILED);
    assert.deepEqual([world.sockets.length, socket.channel.state], [0, "closed"]);
  });

  test("a session that another page has taken fails the socket (ATT-5)", async () => {
    const world = new SocketWorld();
    const { events } = world.dial();
    const connection = await world.accept();
    connection.receive({ type: "error", code: "superseded", message: "", attach: 1, client: "of-another-page" });
    connection.end();
    await world.pass(600);
    for (const attempt of world.sockets.splice(0)) {
      attempt.open();
      attempt.receive({ type: "error", code: "superseded", message: "", attach: 9, client: "of-another-page" });
    }
    await world.settle();
    assert.deepEqual(events.slice(1), FAILED);
  });

  test("an outage that the session cannot have survived fails the socket, with no attempt after it", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    connection.end();
    for (let second = 0; second < 119; second++) {
      await world.pass(1);
      for (const attempt of world.sockets.splice(0)) attempt.end();
    }
    assert.deepEqual([socket.readyState, events.length], [1, 1]);
    await world.pass(5);
    for (const attempt of world.sockets.splice(0)) attempt.end();
    await world.pass(600);
    assert.deepEqual(events.slice(1), FAILED);
    assert.deepEqual([world.sockets.length, socket.channel.state], [0, "closed"]);
  });

  test("a suspended channel is no end", async () => {
    const world = new SocketWorld();
    const { socket } = world.dial();
    await world.accept();
    socket.channel.suspend();
    await world.pass(10);
    assert.equal(socket.readyState, 1);
    socket.channel.resume();
    await world.openSocket();
    assert.equal(socket.readyState, 1);
  });

  test("the server's close has its code and reason, after all messages (CLS-9)", async () => {
    const world = new SocketWorld();
    const { events } = world.dial();
    const connection = await world.accept();
    connection.receive([2, 0, "bye"]);
    connection.receive({ type: "close", code: 4001, reason: "over", by: "app", last: 2, ack: 0 });
    await world.settle();
    assert.deepEqual(events.slice(1), [
      ["message", "bye"],
      ["close", 4001, "over", true],
    ]);
  });

  test("a failure of the application closes with 1011, and no session is opened (CLS-8)", async () => {
    const world = new SocketWorld();
    const { events } = world.dial();
    const connection = await world.accept();
    connection.receive({ type: "close", code: 1011, reason: "failed", by: "protocol", last: 1, ack: 0, retry_in: 1 });
    await world.pass(600);
    assert.deepEqual(events.slice(1), [["close", 1011, "failed", true]]);
    assert.equal(world.sockets.length, 0);
  });
});

describe("close", () => {
  test("delivers what was sent before, and takes no message after it", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    socket.send(new Blob(["blob"]));
    socket.send("last");
    socket.close(3001, "done");
    socket.send("late");
    connection.receive([2, 0, "late too"]);
    await world.settle();
    assert.equal(socket.readyState, 2);
    assert.deepEqual(connection.take().slice(1), [
      [2, 2, "last"],
      { type: "close", code: 3001, reason: "done", by: "app", last: 2, ack: 2 },
    ]);
    connection.receive({ type: "close", code: 3001, reason: "done", by: "app", last: 2, ack: 2 });
    await world.settle();
    assert.deepEqual(events.slice(1), [["close", 3001, "done", true]]);
    assert.equal(socket.bufferedAmount, "late".length);
  });

  test("without a code ends with 1005, as a frame without a code does", async () => {
    const world = new SocketWorld();
    const { socket, events } = world.dial();
    const connection = await world.accept();
    socket.close();
    await world.settle();
    connection.receive({ type: "close", code: 1000, reason: "", by: "app", last: 1, ack: 0 });
    await world.settle();
    assert.deepEqual(events.slice(1), [["close", 1005, "", true]]);
  });

  test("checks its arguments in every state", async () => {
    const world = new SocketWorld();
    const { socket } = world.dial();
    const check = (): void => {
      for (const code of [0, 999, 1001, 2999, 5000, null, NaN, "x"])
        assert.throws(() => socket.close(code as number), { name: "InvalidAccessError" });
      assert.throws(() => socket.close(1000, "é".repeat(62)), { name: "SyntaxError" });
    };
    check();
    await world.accept();
    check();
    socket.close("3000.4" as unknown as number, "é".repeat(61) + "x");
    assert.equal(socket.readyState, 2);
    check();
  });
});

describe("the constructor", () => {
  const Socket = new SocketWorld().Socket();

  test("takes relative and absolute URLs", () => {
    for (const [url, expected] of [
      ["/a?b", "ws://localhost/a?b"],
      ["http://Example.com:80", "ws://example.com/"],
      ["https://example.com:443/x", "wss://example.com/x"],
      ["wss://example.com:80/", "wss://example.com:80/"],
      [new URL("ws://example.com"), "ws://example.com/"],
    ] as const) {
      const socket = new Socket(url);
      assert.equal(socket.url, expected);
      socket.close();
    }
  });

  test("refuses other URLs and subprotocols", () => {
    for (const url of ["ftp://example.com", "about:blank", "http://[", "/a#b", "ws://x/#"])
      assert.throws(() => new Socket(url), { name: "SyntaxError" }, url);
    for (const names of [["a", "a"], [""], "a b", ["a,b"], "é"])
      assert.throws(() => new Socket("/a", names), { name: "SyntaxError" }, String(names));
    assert.throws(() => new (Socket as unknown as new () => void)(), TypeError);
  });

  test("gives options to the channel, and a class its name and constants", () => {
    const Derived = Socket.with({ headStart: 3 }).with({ transports: ["longpoll", "sse"] });
    const socket = new Derived("/a");
    assert.deepEqual(socket.channel.transports, ["longpoll", "sse"]);
    assert.deepEqual([Derived.name, Derived.CLOSED, socket.OPEN], ["FallbackWebSocket", 3, 1]);
    assert.ok(socket instanceof Derived && Object.prototype.toString.call(socket) === "[object WebSocket]");
    assert.throws(() => Object.assign(Derived, { OPEN: 5 }), TypeError);
    socket.close();
  });
});
