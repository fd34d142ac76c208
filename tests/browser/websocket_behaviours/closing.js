// How a socket ends.
Object.assign(behaviours, {
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
});
