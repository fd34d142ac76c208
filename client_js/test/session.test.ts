// What vectors cannot state, or only at length. Everything else of the session is in tests/vectors/client.json.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ClientSession } from "../src/session.ts";
import type { Input, Output, SessionEvent } from "../src/events.ts";
import type { Link } from "../src/link.ts";
import type { TransportName } from "../src/frames.ts";
import { opened } from "./world.ts";

const session = (): ClientSession<string> => {
  let ids = 0;
  return new ClientSession("client-0123456789", () => `nonce-${++ids}-0123456789abcdef`);
};

const hear = (session: ClientSession<string>, link: Link, frame: unknown, now = 0): SessionEvent<string>[] =>
  session.handleInput(link, { type: "frame", frame: JSON.stringify(frame) }, now);

function open(
  session: ClientSession<string>,
  transport: TransportName,
  fields: object = {},
): { link: Link; out: Output[] } {
  const link = session.attach(transport);
  const [{ frames: wires }] = session.transmit(link, 0) as [Output];
  const frame = opened(JSON.parse(wires[0] as string), fields);
  if (transport === "longpoll")
    session.handleInput(link, { type: "answer", request: "open", status: 200, text: JSON.stringify(frame) }, 0);
  else hear(session, link, frame);
  return { link, out: session.transmit(link, 0) };
}

const types = (events: readonly SessionEvent<string>[]): string[] =>
  events.map((event) => (event.type === "dropped" ? event.reason : event.type));
const answered = (fields: object): Input => ({
  type: "answer",
  request: "post",
  status: 200,
  text: JSON.stringify({ type: "ack", ack: 0, received: 0, sent: 0, attached: true, ...fields }),
});

test("a body holds no more than limits.body and limits.batch (SND-1)", () => {
  const each = "x".repeat(400);
  for (const limits of [{ body: 3000 }, { batch: 6 }]) {
    const one = session();
    const { link } = open(one, "sse", { limits });
    one.handleInput(link, answered({}), 0);
    for (let index = 0; index < 50; index++) one.send(index % 2 ? each : new Uint8Array(300), `${index}`);
    let received = 0;
    for (let posts = 0; received < 50; posts++) {
      assert.ok(posts < 50);
      const [{ frames: wires }] = one.transmit(link, 0) as [Output];
      assert.ok(wires.join("\n").length <= (limits.body ?? Infinity), `${wires.join("\n").length}`);
      assert.ok(wires.length <= (limits.batch ?? Infinity));
      received = one.outbox.buffer.next - 1;
      assert.deepEqual(types(one.handleInput(link, answered({ received }), 0)), []);
    }
  }
});

test("a WebSocket message holds no more than limits.body", () => {
  const one = session();
  const { link } = open(one, "websocket", { limits: { body: 3000 } });
  for (let index = 0; index < 50; index++) one.send("x".repeat(400), `${index}`);
  const [{ frames: wires }] = one.transmit(link, 0) as [Output];
  assert.equal(one.outbox.buffer.next, 51);
  for (const wire of wires) assert.ok(wire.length <= 3000);
  assert.ok(wires.length < 16);
});

test("the largest message fits a body in each form (section 12)", () => {
  for (const message of ["x".repeat(262142), new Uint8Array(262144)]) {
    const one = session();
    one.send(message, "x");
    const { out } = open(one, "sse");
    assert.ok(out[0]!.frames.join("\n").length <= 350550);
    assert.equal(out[0]!.frames.length, 2);
  }
});

test("waiting messages above the server's limit are skipped (DAT-4, DAT-5)", () => {
  const one = session();
  one.send("small", "a");
  one.send("x".repeat(200), "b");
  const link = one.attach("websocket");
  const [{ frames: wires }] = one.transmit(link, 0) as [Output];
  const events = hear(one, link, opened(JSON.parse(wires[0] as string), { limits: { message: 100 } }));
  assert.deepEqual(events.slice(1), [{ type: "rejected", tag: "b" }]);
  assert.deepEqual(one.transmit(link, 0)[0]!.frames.slice(1), ['[1,0,"small"]', '{"type":"skip","number":2,"ack":0}']);
});

test("an opened that answers another open is a bad frame", () => {
  const cases = [{ attach: 2 }, { client: "another-0123456789" }];
  for (const fields of cases) {
    const one = session();
    const link = one.attach("websocket");
    const [{ frames: wires }] = one.transmit(link, 0) as [Output];
    assert.deepEqual(types(hear(one, link, opened(JSON.parse(wires[0] as string), fields))), ["bad_frame"]);
  }
});

test("data before opened and a second opened are bad frames (OPN-1)", () => {
  const one = session();
  const link = one.attach("websocket");
  const [{ frames: wires }] = one.transmit(link, 0) as [Output];
  assert.deepEqual(types(hear(one, link, [1, 0, "x"])), ["bad_frame"]);
  const { link: second } = open(one, "websocket");
  assert.deepEqual(types(hear(one, second, opened(JSON.parse(wires[0] as string), { attach: 2 }))), ["bad_frame"]);
});

test("a POST's answer that is not ours is a bad frame", () => {
  const one = session();
  const { link } = open(one, "sse");
  assert.deepEqual(types(one.handleInput(link, { type: "answer", request: "post", status: 200, text: "<html>" }, 0)), [
    "bad_frame",
  ]);
});

test("a POST with an empty answer is repeated", () => {
  const one = session();
  const { link } = open(one, "sse");
  one.handleInput(link, answered({}), 0);
  one.send("x", "a");
  const [{ frames: wires }] = one.transmit(link, 0) as [Output];
  assert.deepEqual(one.handleInput(link, { type: "answer", request: "post", status: 200, text: "" }, 0), []);
  assert.deepEqual(one.transmit(link, 0)[0]!.frames, wires);
});

test("a POST's answer above what was sent resets (MRK-5, RES-6)", () => {
  const one = session();
  const { link } = open(one, "sse");
  one.send("x", "a");
  assert.deepEqual(types(one.handleInput(link, answered({ received: 1 }), 0)), ["reset", "reset"]);
  assert.equal(one.outbox.buffer.entries.length, 0);
});

test("a repeated POST brings its ack, pong and close again", () => {
  const one = session();
  const { link } = open(one, "sse");
  one.handleInput(link, answered({}), 0);
  hear(one, link, [1, 0, "a"]);
  hear(one, link, { type: "ping", id: 3 });
  one.close(1000, "");
  const [{ frames: wires }] = one.transmit(link, 1) as [Output];
  assert.equal(wires.length, 3);
  one.handleInput(link, { type: "answer", request: "post", status: 502, text: "<html>" }, 2);
  assert.deepEqual(one.transmit(link, 2)[0]!.frames, wires);
});

test("a lone ack whose POST failed is due again", () => {
  const one = session();
  const { link } = open(one, "sse");
  one.handleInput(link, answered({}), 0);
  hear(one, link, [1, 0, "a"]);
  assert.equal(one.deadline, 0.1);
  const [{ frames: wires }] = one.transmit(link, 0.1) as [Output];
  assert.equal(wires[1], '{"type":"ack","ack":1}');
  one.handleInput(link, { type: "answer", request: "post", status: 502, text: "" }, 10);
  assert.deepEqual(one.transmit(link, 10)[0]!.frames, wires);
});

test("an ack that was due does not delay the next attach", () => {
  const one = session();
  const { link } = open(one, "sse");
  one.handleInput(link, answered({}), 0);
  hear(one, link, [1, 0, "a"]);
  one.handleInput(link, { type: "lost", reason: "cut" }, 0);
  open(one, "sse");
  assert.ok(one.deadline > 1);
});

test("consecutive empty answers to polls end the attach (POL-2)", () => {
  const one = session();
  const { link } = open(one, "longpoll");
  const empty: Input = { type: "answer", request: "poll", status: 200, text: "" };
  const seen = [1, 2, 3].map(() => {
    const events = one.handleInput(link, empty, 0);
    one.transmit(link, 0);
    return types(events);
  });
  assert.deepEqual(seen, [[], [], ["ended"]]);
});

test("failed POSTs are counted apart from polls that are answered", () => {
  const one = session();
  const { link } = open(one, "longpoll");
  one.send("x", "a");
  const seen = [1, 2, 3].map((number) => {
    one.transmit(link, 0);
    const events = one.handleInput(link, { type: "answer", request: "post", status: 502, text: "<html>" }, 0);
    events.push(
      ...one.handleInput(link, { type: "answer", request: "poll", status: 200, text: `[${number},0,"a"]` }, 0),
    );
    return types(events);
  });
  assert.deepEqual(seen, [["message"], ["message"], ["HTTP 502"]]);
});

test("messages of a link that is never confirmed are kept (OPN-5)", () => {
  const one = session();
  const link = one.attach("sse");
  const [{ frames: wires }] = one.transmit(link, 0) as [Output];
  hear(one, link, opened(JSON.parse(wires[0] as string)));
  hear(one, link, [1, 0, "a"]);
  hear(one, link, { type: "drain", retry_in: 0 });
  const next = one.attach("sse");
  const { session: token, received } = JSON.parse(next.opening) as { session: string; received: number };
  assert.deepEqual([token, received], ["token-1", 1]);
});

test("an answer to close on an unconfirmed link names the session (SND-1)", () => {
  const one = session();
  const link = one.attach("sse");
  const [{ frames: wires }] = one.transmit(link, 0) as [Output];
  hear(one, link, opened(JSON.parse(wires[0] as string)));
  hear(one, link, { type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 });
  const [{ frames: last }] = one.transmit(link, 0) as [Output];
  assert.equal((JSON.parse(last[0] as string) as { session: string }).session, "token-1");
});

test("a renew without credentials is sent with null (REN-1)", () => {
  const one = session();
  const { link } = open(one, "websocket");
  one.renew(undefined);
  assert.deepEqual(one.transmit(link, 0)[0]!.frames, ['{"type":"renew","credentials":null}']);
});

test("a code named like a member of Object is an unknown code", () => {
  const one = session();
  const { link } = open(one, "websocket");
  assert.deepEqual(types(hear(one, link, { type: "error", code: "constructor", message: "" })), ["constructor"]);
});

test("another client may come first three times (ATT-5)", () => {
  const one = session();
  const seen: string[] = [];
  for (let turn = 0; turn < 4; turn++) {
    const link = one.attach("websocket");
    assert.equal(link.attach, 1 + turn * 11);
    one.transmit(link, 0);
    const attach = link.attach + 10;
    seen.push(
      ...types(
        hear(one, link, { type: "error", code: "superseded", message: "", attach, client: "another-0123456789" }),
      ),
    );
  }
  assert.deepEqual(seen, ["superseded", "superseded", "superseded", "closed"]);
});

test("a bare WebSocket close 1012 is a drain (DRN-1)", () => {
  const one = session();
  const { link } = open(one, "websocket");
  assert.deepEqual(types(one.handleInput(link, { type: "lost", reason: "closed", code: 1012 }, 0)), ["drain"]);
});

test("an ended session writes, handles and takes nothing", () => {
  const one = session();
  const { link } = open(one, "websocket");
  one.abandon(1001, "");
  assert.deepEqual(hear(one, link, [1, 0, "x"]), []);
  assert.deepEqual(one.transmit(link, 0), []);
  assert.throws(() => one.send("x", "x"), /closed/);
  assert.equal(one.deadline, Infinity);
});

describe("a junk field numbers and settles nothing (FRM-3, FRM-4)", () => {
  const JUNK = [undefined, null, "7", "", -1, 1.5, true, {}, [], [1], 2 ** 53, 1e300];
  const frames: { [field: string]: unknown }[] = [
    { type: "ack", ack: 0, received: 0, sent: 0, attached: true },
    { type: "bytes", number: 1, ack: 0, data: "AA==" },
    { type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0, in_hand: 0 },
    { type: "drain", retry_in: 1 },
    { type: "error", code: "gap", message: "", expected: 1 },
    { type: "error", code: "superseded", message: "", attach: 1, client: "client-0123456789" },
    { type: "error", code: "too_large", message: "", number: 9 },
    { type: "ping", id: 1 },
    { type: "renew", within: 1 },
    { type: "reset", reason: "overflow", lost: [], handled: 0, in_hand: 0 },
    ...["received", "handled", "sent", "attach", "client", "limits", "timings", "reset", "epoch", "verdict"].map(
      (field) => ({ type: "opened", junk: field }),
    ),
  ];

  const check = (frame: object, transport: TransportName, type: string, spaced = false): void => {
    const one = session();
    const sends = ["a", "b", "c"];
    let link: Link;
    if (type === "opened") {
      link = one.attach(transport);
      for (const send of sends) one.send(send, send);
      one.transmit(link, 0);
    } else {
      ({ link } = open(one, transport));
      one.handleInput(link, answered({}), 0);
      for (const send of sends) one.send(send, send);
      one.transmit(link, 0);
    }
    const what = JSON.stringify(frame, null, spaced ? 1 : 0).replace(/\n/g, " ");
    const events = one.handleInput(link, { type: "frame", frame: what }, 0);
    one.transmit(link, 0);
    for (const event of events) {
      assert.notEqual(event.type, "settled", what);
      if ("sends" in event) for (const { fate } of event.sends) assert.notEqual(fate, "handled", what);
    }
    for (const number of [
      one.acks.received,
      one.attaches,
      one.confirmed,
      one.outbox.buffer.first,
      one.outbox.buffer.next,
      link.next,
    ])
      assert.ok(Number.isSafeInteger(number) && number >= 0, what);
    assert.ok(one.outbox.buffer.first <= one.outbox.buffer.next && one.outbox.buffer.next <= 4, what);
  };

  for (const { junk, ...frame } of frames)
    for (const field of junk ? [junk as string] : Object.keys(frame).filter((field) => field !== "type"))
      test(`${frame["type"] as string} ${(frame["code"] as string) ?? ""} ${field}`, () => {
        for (const value of JUNK)
          for (const transport of ["websocket", "sse"] as const) {
            const whole = junk ? opened({ attach: 1, client: "client-0123456789" }) : frame;
            for (const spaced of [false, true])
              check({ ...whole, [field]: value }, transport, frame["type"] as string, spaced);
          }
      });

  test("data", () => {
    for (const value of JUNK)
      for (const frame of [[value, 0, "x"], [1, value, "x"], [value], value])
        if (frame !== undefined) check(frame as object, "websocket", "data");
  });
});
