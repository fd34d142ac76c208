// What vectors cannot say, or only at length; everything else of the session is in tests/vectors/client.json.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Session } from "../src/session.ts";
import type { Event, Heard, Link, Out } from "../src/session.ts";
import type { TransportName } from "../src/fallback.ts";
import { opened } from "./world.ts";

const session = (): Session<string> => {
  let minted = 0;
  return new Session("client-0123456789", () => `nonce-${++minted}-0123456789abcdef`);
};

const hear = (session: Session<string>, link: Link, frame: unknown, now = 0): Event<string>[] =>
  session.hear(link, { type: "frame", wire: JSON.stringify(frame) }, now);

function open(session: Session<string>, carrier: TransportName, fields: object = {}): { link: Link; out: Out[] } {
  const link = session.attach(carrier);
  const [{ wires }] = session.transmit(link, 0) as [Out];
  const frame = opened(JSON.parse(wires[0] as string), fields);
  if (carrier === "longpoll") session.hear(link, { type: "answer", of: "open", status: 200, text: JSON.stringify(frame) }, 0);
  else hear(session, link, frame);
  return { link, out: session.transmit(link, 0) };
}

const types = (events: readonly Event<string>[]): string[] => events.map((event) => (event.type === "drop" ? event.reason : event.type));
const answered = (fields: object): Heard => ({
  type: "answer",
  of: "post",
  status: 200,
  text: JSON.stringify({ type: "ack", ack: 0, received: 0, sent: 0, attached: true, ...fields }),
});

test("a body holds no more than limits.body and limits.batch (SND-1)", () => {
  const each = "x".repeat(400);
  for (const limits of [{ body: 3000 }, { batch: 6 }]) {
    const one = session();
    const { link } = open(one, "sse", { limits });
    one.hear(link, answered({}), 0);
    for (let index = 0; index < 50; index++) one.send(index % 2 ? each : new Uint8Array(300), `${index}`);
    let received = 0;
    for (let posts = 0; received < 50; posts++) {
      assert.ok(posts < 50);
      const [{ wires }] = one.transmit(link, 0) as [Out];
      assert.ok(wires.join("\n").length <= (limits.body ?? Infinity), `${wires.join("\n").length}`);
      assert.ok(wires.length <= (limits.batch ?? Infinity));
      received = one.buffer.next - 1;
      assert.deepEqual(types(one.hear(link, answered({ received }), 0)), []);
    }
  }
});

test("a WebSocket message holds no more than limits.body either", () => {
  const one = session();
  const { link } = open(one, "websocket", { limits: { body: 3000 } });
  for (let index = 0; index < 50; index++) one.send("x".repeat(400), `${index}`);
  const [{ wires }] = one.transmit(link, 0) as [Out];
  assert.equal(one.buffer.next, 51);
  for (const wire of wires) assert.ok(wire.length <= 3000);
  assert.ok(wires.length < 12);
});

test("the largest message fits a body in whichever form (section 12)", () => {
  for (const message of ["x".repeat(262142), new Uint8Array(262144)]) {
    const one = session();
    one.send(message, "x");
    const { out } = open(one, "sse");
    assert.ok(out[0]!.wires.join("\n").length <= 350550);
    assert.equal(out[0]!.wires.length, 2);
  }
});

test("what waits and is above the limit that the server tells is refused, and skipped (DAT-4, DAT-5)", () => {
  const one = session();
  one.send("small", "a");
  one.send("x".repeat(200), "b");
  const link = one.attach("websocket");
  const [{ wires }] = one.transmit(link, 0) as [Out];
  const events = hear(one, link, opened(JSON.parse(wires[0] as string), { limits: { message: 100 } }));
  assert.deepEqual(events.slice(1), [{ type: "rejected", tag: "b" }]);
  assert.deepEqual(one.transmit(link, 0)[0]!.wires.slice(1), ['[1,0,"small"]', '{"type":"skip","number":2,"ack":0}']);
});

test("an opened that answers another open is taken for nothing", () => {
  const cases = [{ attach: 2 }, { client: "another-0123456789" }, { verdict: "resumed" }, { session: undefined }];
  for (const fields of cases) {
    const one = session();
    const link = one.attach("websocket");
    const [{ wires }] = one.transmit(link, 0) as [Out];
    assert.deepEqual(types(hear(one, link, opened(JSON.parse(wires[0] as string), fields))), ["bad_frame"]);
  }
});

test("data before opened, a second opened, are protocol errors (OPN-1)", () => {
  const one = session();
  const link = one.attach("websocket");
  const [{ wires }] = one.transmit(link, 0) as [Out];
  assert.deepEqual(types(hear(one, link, [1, 0, "x"])), ["bad_frame"]);
  const { link: second } = open(one, "websocket");
  assert.deepEqual(types(hear(one, second, opened(JSON.parse(wires[0] as string), { attach: 2 }))), ["bad_frame"]);
});

test("a POST that is answered by nothing of ours is a protocol error", () => {
  const one = session();
  const { link } = open(one, "sse");
  assert.deepEqual(types(one.hear(link, { type: "answer", of: "post", status: 200, text: "" }, 0)), ["bad_frame"]);
});

test("a post that got no answer brings its ack, its pong and its close again", () => {
  const one = session();
  const { link } = open(one, "sse");
  one.hear(link, answered({}), 0);
  hear(one, link, [1, 0, "a"]);
  hear(one, link, { type: "ping", id: 3 });
  one.close(1000, "");
  const [{ wires }] = one.transmit(link, 1) as [Out];
  assert.equal(wires.length, 3);
  one.hear(link, { type: "answer", of: "post", status: 502, text: "<html>" }, 2);
  assert.deepEqual(one.transmit(link, 2)[0]!.wires, wires);
});

test("an ack alone that got no answer is due again", () => {
  const one = session();
  const { link } = open(one, "sse");
  one.hear(link, answered({}), 0);
  hear(one, link, [1, 0, "a"]);
  assert.equal(one.deadline, 0.1);
  const [{ wires }] = one.transmit(link, 0.1) as [Out];
  assert.equal(wires[1], '{"type":"ack","ack":1}');
  one.hear(link, { type: "answer", of: "post", status: 0, text: "" }, 10);
  assert.deepEqual(one.transmit(link, 10)[0]!.wires, wires);
});

test("an ack that was due is not waited for on the next attach", () => {
  const one = session();
  const { link } = open(one, "sse");
  one.hear(link, answered({}), 0);
  hear(one, link, [1, 0, "a"]);
  one.hear(link, { type: "lost", reason: "cut" }, 0);
  open(one, "sse");
  assert.ok(one.deadline > 1);
});

test("empty answers to polls, one after the other, end the attach (POL-2)", () => {
  const one = session();
  const { link } = open(one, "longpoll");
  const empty: Heard = { type: "answer", of: "poll", status: 200, text: "" };
  const seen = [1, 2, 3].map(() => {
    const events = one.hear(link, empty, 0);
    one.transmit(link, 0);
    return types(events);
  });
  assert.deepEqual(seen, [[], [], ["ended"]]);
});

test("a code that is the name of a member of objects is any other code", () => {
  const one = session();
  const { link } = open(one, "websocket");
  assert.deepEqual(types(hear(one, link, { type: "error", code: "constructor", message: "" })), ["constructor"]);
});

test("another client may stand in the way three times before the first confirmation (ATT-5)", () => {
  const one = session();
  const seen: string[] = [];
  for (let turn = 0; turn < 4; turn++) {
    const link = one.attach("websocket");
    assert.equal(link.attach, 1 + turn * 11);
    one.transmit(link, 0);
    const attach = link.attach + 10;
    seen.push(...types(hear(one, link, { type: "error", code: "superseded", message: "", attach, client: "another-0123456789" })));
  }
  assert.deepEqual(seen, ["superseded", "superseded", "superseded", "superseded", "closed"]);
});

test("a bare WebSocket close 1012 is a drain (DRN-1)", () => {
  const one = session();
  const { link } = open(one, "websocket");
  assert.deepEqual(types(one.hear(link, { type: "lost", reason: "closed", code: 1012 }, 0)), ["drain"]);
});

test("after the end nothing is written, heard or taken", () => {
  const one = session();
  const { link } = open(one, "websocket");
  one.abandon(1001, "");
  assert.deepEqual(hear(one, link, [1, 0, "x"]), []);
  assert.deepEqual(one.transmit(link, 0), []);
  assert.throws(() => one.send("x", "x"), /closed/);
  assert.equal(one.deadline, Infinity);
});
