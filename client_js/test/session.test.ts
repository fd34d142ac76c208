// Session behavior that vectors cannot express, or only at length. The rest is in tests/vectors/client.json.
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

const receive = (session: ClientSession<string>, link: Link, frame: unknown, now = 0): SessionEvent<string>[] =>
  session.handleInput(link, { type: "frame", frame: JSON.stringify(frame) }, now);

function open(
  session: ClientSession<string>,
  transport: TransportName,
  fields: object = {},
): { link: Link; out: Output[] } {
  const link = session.attach(transport);
  const [{ frames }] = session.transmit(link, 0) as [Output];
  const frame = opened(JSON.parse(frames[0] as string), fields);
  if (transport === "longpoll")
    session.handleInput(link, { type: "answer", request: "open", status: 200, text: JSON.stringify(frame) }, 0);
  else receive(session, link, frame);
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
    const client = session();
    const { link } = open(client, "sse", { limits });
    client.handleInput(link, answered({}), 0);
    for (let index = 0; index < 50; index++) client.send(index % 2 ? each : new Uint8Array(300), `${index}`);
    let received = 0;
    for (let posts = 0; received < 50; posts++) {
      assert.ok(posts < 50);
      const [{ frames }] = client.transmit(link, 0) as [Output];
      assert.ok(frames.join("\n").length <= (limits.body ?? Infinity), `${frames.join("\n").length}`);
      assert.ok(frames.length <= (limits.batch ?? Infinity));
      received = client.outbox.buffer.next - 1;
      assert.deepEqual(types(client.handleInput(link, answered({ received }), 0)), []);
    }
  }
});

test("a WebSocket message holds no more than limits.body", () => {
  const client = session();
  const { link } = open(client, "websocket", { limits: { body: 3000 } });
  for (let index = 0; index < 50; index++) client.send("x".repeat(400), `${index}`);
  const [{ frames }] = client.transmit(link, 0) as [Output];
  assert.equal(client.outbox.buffer.next, 51);
  for (const wire of frames) assert.ok(wire.length <= 3000);
  assert.ok(frames.length < 16);
});

test("the largest message fits a body in each form (section 12)", () => {
  for (const message of ["x".repeat(262142), new Uint8Array(262144)]) {
    const client = session();
    client.send(message, "x");
    const { out } = open(client, "sse");
    assert.ok(out[0]!.frames.join("\n").length <= 350550);
    assert.equal(out[0]!.frames.length, 2);
  }
});

test("waiting messages above the server's limit are skipped (DAT-4, DAT-5)", () => {
  const client = session();
  client.send("small", "a");
  client.send("x".repeat(200), "b");
  const link = client.attach("websocket");
  const [{ frames }] = client.transmit(link, 0) as [Output];
  const events = receive(client, link, opened(JSON.parse(frames[0] as string), { limits: { message: 100 } }));
  assert.deepEqual(events.slice(1), [{ type: "rejected", tag: "b", code: "too_large" }]);
  assert.deepEqual(client.transmit(link, 0)[0]!.frames.slice(1), [
    '[1,0,"small"]',
    '{"type":"skip","number":2,"ack":0}',
  ]);
});

test("an opened that answers another open is a bad frame (OPN-13)", () => {
  const cases = [{ attach: 2 }, { client: "another-0123456789" }];
  for (const fields of cases) {
    const client = session();
    const link = client.attach("websocket");
    const [{ frames }] = client.transmit(link, 0) as [Output];
    assert.deepEqual(types(receive(client, link, opened(JSON.parse(frames[0] as string), fields))), ["bad_frame"]);
  }
});

test("an opened of another session drops its link, and says why (OPN-4)", () => {
  const client = session();
  const links = [client.attach("sse"), client.attach("websocket")];
  const opens = links.map((link) => JSON.parse(client.transmit(link, 0)[0]!.frames[0] as string) as object);
  receive(client, links[0]!, opened(opens[0]!, { id: "s1" }));
  assert.deepEqual(types(receive(client, links[1]!, opened(opens[1]!, { id: "s2" }))), ["another session"]);
  assert.equal(client.id, "s1");
});

test("data before opened and a second opened are bad frames (OPN-1)", () => {
  const client = session();
  const link = client.attach("websocket");
  const [{ frames }] = client.transmit(link, 0) as [Output];
  assert.deepEqual(types(receive(client, link, [1, 0, "x"])), ["bad_frame"]);
  const { link: second } = open(client, "websocket");
  assert.deepEqual(types(receive(client, second, opened(JSON.parse(frames[0] as string), { attach: 2 }))), [
    "bad_frame",
  ]);
});

test("a POST answered by something else is a bad frame", () => {
  const client = session();
  const { link } = open(client, "sse");
  assert.deepEqual(
    types(client.handleInput(link, { type: "answer", request: "post", status: 200, text: "<html>" }, 0)),
    ["bad_frame"],
  );
});

test("a POST that something else answered drops its link (SND-2)", () => {
  for (const text of ["", "<html>", '{"ok":true}', '{"type":"ack","ack":0}', '{"type":"pong","id":1}']) {
    const client = session();
    const { link } = open(client, "sse");
    client.handleInput(link, answered({}), 0);
    client.send("x", "a");
    client.transmit(link, 0);
    const events = client.handleInput(link, { type: "answer", request: "post", status: 200, text }, 0);
    assert.deepEqual(types(events), ["bad_frame"], text);
  }
});

test("a POST's answer above what was sent resets (MRK-5, RES-6)", () => {
  const client = session();
  const { link } = open(client, "sse");
  client.send("x", "a");
  assert.deepEqual(types(client.handleInput(link, answered({ received: 1 }), 0)), ["reset", "reset"]);
  assert.equal(client.outbox.buffer.entries.length, 0);
});

test("a retried POST repeats its ack, pong and close", () => {
  const client = session();
  const { link } = open(client, "sse");
  client.handleInput(link, answered({}), 0);
  receive(client, link, [1, 0, "a"]);
  receive(client, link, { type: "ping", id: 3 });
  client.close(1000, "");
  const [{ frames }] = client.transmit(link, 1) as [Output];
  assert.equal(frames.length, 3);
  client.handleInput(link, { type: "answer", request: "post", status: 502, text: "<html>" }, 2);
  assert.deepEqual(client.transmit(link, 2)[0]!.frames, frames);
});

test("a standalone ack whose POST failed is due again", () => {
  const client = session();
  const { link } = open(client, "sse");
  client.handleInput(link, answered({}), 0);
  receive(client, link, [1, 0, "a"]);
  assert.equal(client.deadline, 0.5);
  const [{ frames }] = client.transmit(link, 0.5) as [Output];
  assert.equal(frames[1], '{"type":"ack","ack":1}');
  client.handleInput(link, { type: "answer", request: "post", status: 502, text: "" }, 10);
  assert.deepEqual(client.transmit(link, 10)[0]!.frames, frames);
});

test("an ack that was due on a lost link is not due on the next", () => {
  const client = session();
  const { link } = open(client, "sse");
  client.handleInput(link, answered({}), 0);
  receive(client, link, [1, 0, "a"]);
  client.handleInput(link, { type: "lost", reason: "cut" }, 0);
  open(client, "sse");
  assert.ok(client.deadline > 1);
});

test("the POST of an older link that fails makes no ack due", () => {
  const client = session();
  const older = open(client, "sse").link;
  open(client, "websocket");
  client.handleInput(older, { type: "answer", request: "post", status: 502, text: "" }, 1);
  assert.ok(client.deadline > 1, "or else its timer is set again and again");
});

test("consecutive empty answers to polls end the attach (POL-2)", () => {
  const client = session();
  const { link } = open(client, "longpoll");
  const empty: Input = { type: "answer", request: "poll", status: 200, text: "" };
  const seen = [1, 2, 3].map(() => {
    const events = client.handleInput(link, empty, 0);
    client.transmit(link, 0);
    return types(events);
  });
  assert.deepEqual(seen, [[], [], ["ended"]]);
});

test("failures of POSTs and polls are counted separately", () => {
  const client = session();
  const { link } = open(client, "longpoll");
  client.send("x", "a");
  const seen = [1, 2, 3].map((number) => {
    client.transmit(link, 0);
    const events = client.handleInput(link, { type: "answer", request: "post", status: 502, text: "<html>" }, 0);
    events.push(
      ...client.handleInput(link, { type: "answer", request: "poll", status: 200, text: `[${number},0,"a"]` }, 0),
    );
    return types(events);
  });
  assert.deepEqual(seen, [["message"], ["message"], ["HTTP 502"]]);
});

test("messages of a link that is never confirmed are kept (OPN-5)", () => {
  const client = session();
  const link = client.attach("sse");
  const [{ frames }] = client.transmit(link, 0) as [Output];
  receive(client, link, opened(JSON.parse(frames[0] as string)));
  receive(client, link, [1, 0, "a"]);
  receive(client, link, { type: "drain", retry_in: 0 });
  const next = client.attach("sse");
  const { session: token, received } = JSON.parse(next.opening) as { session: string; received: number };
  assert.deepEqual([token, received], ["token-1", 1]);
});

test("an answer to close on an unconfirmed link names the session (SND-1)", () => {
  const client = session();
  const link = client.attach("sse");
  const [{ frames }] = client.transmit(link, 0) as [Output];
  receive(client, link, opened(JSON.parse(frames[0] as string)));
  receive(client, link, { type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 });
  const [{ frames: last }] = client.transmit(link, 0) as [Output];
  assert.equal((JSON.parse(last[0] as string) as { session: string }).session, "token-1");
});

test("a renew without credentials is sent with null (REN-1)", () => {
  const client = session();
  const { link } = open(client, "websocket");
  client.renew(undefined);
  assert.deepEqual(client.transmit(link, 0)[0]!.frames, ['{"type":"renew","credentials":null}']);
});

test("an error code inherited from Object.prototype is unknown (ERR-1)", () => {
  const client = session();
  const { link } = open(client, "websocket");
  assert.deepEqual(types(receive(client, link, { type: "error", code: "constructor", message: "" })), ["constructor"]);
});

test("a client that never confirmed retries three times when superseded (ATT-5)", () => {
  const client = session();
  const seen: string[] = [];
  for (let turn = 0; turn < 4; turn++) {
    const link = client.attach("websocket");
    assert.equal(link.attach, 1 + turn * 11);
    client.transmit(link, 0);
    const attach = link.attach + 10;
    seen.push(
      ...types(
        receive(client, link, { type: "error", code: "superseded", message: "", attach, client: "another-0123456789" }),
      ),
    );
  }
  assert.deepEqual(seen, ["superseded", "superseded", "superseded", "closed"]);
});

test("a bare WebSocket close 1012 is a drain (DRN-1)", () => {
  const client = session();
  const { link } = open(client, "websocket");
  assert.deepEqual(types(client.handleInput(link, { type: "lost", reason: "closed", code: 1012 }, 0)), ["drain"]);
});

test("an ended session ignores input, writes nothing and rejects sends", () => {
  const client = session();
  const { link } = open(client, "websocket");
  client.abandon(1001, "");
  assert.deepEqual(receive(client, link, [1, 0, "x"]), []);
  assert.deepEqual(client.transmit(link, 0), []);
  assert.throws(() => client.send("x", "x"), /closed/);
  assert.equal(client.deadline, Infinity);
});

describe("a malformed field neither numbers nor settles a message (FRM-3, FRM-4)", () => {
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
    const client = session();
    const sends = ["a", "b", "c"];
    let link: Link;
    if (type === "opened") {
      link = client.attach(transport);
      for (const send of sends) client.send(send, send);
      client.transmit(link, 0);
    } else {
      ({ link } = open(client, transport));
      client.handleInput(link, answered({}), 0);
      for (const send of sends) client.send(send, send);
      client.transmit(link, 0);
    }
    const what = JSON.stringify(frame, null, spaced ? 1 : 0).replace(/\n/g, " ");
    const events = client.handleInput(link, { type: "frame", frame: what }, 0);
    client.transmit(link, 0);
    for (const event of events) {
      assert.notEqual(event.type, "settled", what);
      if ("sends" in event) for (const { fate } of event.sends) assert.notEqual(fate, "handled", what);
    }
    for (const number of [
      client.acks.received,
      client.attaches,
      client.confirmed,
      client.outbox.buffer.first,
      client.outbox.buffer.next,
      link.next,
    ])
      assert.ok(Number.isSafeInteger(number) && number >= 0, what);
    assert.ok(client.outbox.buffer.first <= client.outbox.buffer.next && client.outbox.buffer.next <= 4, what);
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

test("the kinds that a server takes are those of its last opened (OPN-11)", () => {
  const one = session();
  open(one, "websocket", { kinds: ["a", "b"] });
  assert.deepEqual(one.terms.kinds, ["a", "b"]);
  open(one, "websocket");
  assert.deepEqual(one.terms.kinds, []);
});
