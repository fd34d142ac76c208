// Events that interleave with one connection taking the session over from another.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PageWorld, World, opened, postAnswer } from "./world.ts";

/** Answers every request as a server would, for `seconds`. Returns the number of streams that were opened. */
async function serve(world: World, seconds: number): Promise<number> {
  let streams = 0;
  for (let passed = 0; passed < seconds; passed += 0.1) {
    await world.pass(0.1);
    for (const request of world.requests.splice(0)) {
      if (request.url.endsWith("/sse")) {
        streams++;
        request.stream();
        request.event(opened(request.lines[0]));
        request.event({ type: "ack", ack: 0 });
      } else request.respond(200, [postAnswer()]);
    }
  }
  return streams;
}

test("an ack due at a takeover is written after failed POSTs (MRK-6)", async () => {
  const world = new PageWorld();
  const { channel } = world.channel({ transports: ["sse"] });
  channel.addEventListener("message", () => {});
  const stream = await world.openStream();
  await world.pass(10);
  stream.event([1, 0, "a"]); // ack is due in 0.5 s
  await world.settle();
  world.show(); // rotation begins: the open says received 1
  await world.pass(0.55);
  const next = await world.request("sse");
  for (let i = 0; i < 3; i++) {
    (await world.request("send")).respond(502); // the old POSTs fail
    await world.pass(1.3);
  }
  next.stream();
  next.event(opened(next.lines[0], { sent: 1 }));
  next.event({ type: "ack", ack: 0 });
  await world.settle();
  const streams = await serve(world, 60);
  assert.ok(streams <= 2, `${streams}`);
});

test("an ack due at a takeover is written while a POST is in flight", async () => {
  const world = new PageWorld();
  const { channel } = world.channel({ transports: ["sse"] });
  channel.addEventListener("message", () => {});
  const stream = await world.openStream();
  await world.pass(10);
  channel.send("x");
  await world.request("send"); // slow, or lost
  stream.event([1, 1, "a"]); // settles x; its ack has to wait for the POST
  await world.settle();
  await world.pass(0.01);
  world.show();
  await world.pass(0.3);
  const next = await world.request("sse");
  next.stream();
  next.event(opened(next.lines[0], { sent: 1, received: 1, handled: 1 }));
  next.event({ type: "ack", ack: 1 });
  await world.settle();
  let streams = 0;
  for (let t = 0; t < 600; t++) {
    await world.pass(0.1);
    for (const request of world.requests.splice(0)) {
      if (request.url.endsWith("/sse")) {
        streams++;
        request.stream();
        request.event(opened(request.lines[0], { sent: 1, received: 1, handled: 1 }));
        request.event({ type: "ack", ack: 1 });
      } else request.respond(200, [postAnswer({ ack: 1, received: 1 })]);
    }
  }
  assert.ok(streams <= 2, `${streams}`);
});

test("an ack that the previous link carried is repeated (MRK-3)", async () => {
  const world = new PageWorld();
  const { channel } = world.channel({ transports: ["sse"] });
  channel.addEventListener("message", () => {});
  const stream = await world.openStream();
  await world.pass(10);
  world.show();
  await world.pass(0.01);
  const next = await world.request("sse"); // open: received 0
  stream.event([1, 0, "a"]);
  await world.pass(0.55);
  const old = await world.request("send");
  assert.deepEqual(old.lines.slice(1), [{ type: "ack", ack: 1 }]);
  next.stream();
  next.event(opened(next.lines[0], { sent: 1 }));
  next.event([1, 0, "a"]);
  await world.settle();
  const confirm = await world.request("send");
  // The confirmation overtakes it (ATT-7).
  old.respond(409, [
    { type: "error", code: "superseded", message: "", attach: 2, client: (next.lines[0] as { client: string }).client },
  ]);
  confirm.respond(200, [postAnswer({ sent: 1 })]);
  const acks: unknown[] = confirm.lines.slice(1);
  for (let beat = 0; beat < 3; beat++) {
    await world.pass(20);
    next.event({ type: "ping" });
    await world.settle();
    for (const post of world.requests.splice(0)) {
      acks.push(...post.lines.slice(1));
      post.respond(200, [postAnswer({ sent: 1 })]);
    }
  }
  assert.ok(acks.some((f) => (f as { type: string }).type === "ack"));
});

test("an ack of a poll that was aborted is repeated", async () => {
  const world = new PageWorld();
  const { channel } = world.channel({ transports: ["longpoll"] });
  channel.addEventListener("message", () => {});
  const open = await world.request("poll");
  open.respond(200, [opened(open.lines[0])]);
  const poll = await world.request("poll");
  channel.transports = ["sse", "longpoll"];
  const next = await world.request("sse");
  next.stream();
  next.event(opened(next.lines[0], { sent: 1 }));
  await world.settle();
  poll.respond(200, [[1, 0, "a"]]);
  const poll2 = await world.request("poll");
  next.event([1, 0, "a"]);
  await world.settle();
  assert.equal(poll2.aborted, true); // never left the browser's queue
  const confirm = await world.request("send");
  assert.deepEqual(confirm.lines.slice(1), [{ type: "ack", ack: 1 }]);
});

test("a pending poll may win after everything else has failed", async () => {
  const world = new PageWorld();
  const { channel } = world.channel({ transports: ["sse", "longpoll"] });
  const stream = await world.openStream();
  await world.pass(1);
  world.show();
  await world.pass(0.01);
  const rotation = await world.request("sse");
  stream.end(); // within 5 s: failed
  await world.pass(1);
  const poll = await world.request("poll");
  rotation.fail(); // the second failure of sse counts as longpoll's
  await world.settle();
  poll.respond(200, [opened(poll.lines[0])]);
  await world.settle();
  assert.equal(channel.transport, "longpoll");
});

test("a rotation that is still pending is aborted by suspend", async () => {
  const world = new PageWorld();
  const { channel } = world.channel({ transports: ["sse", "longpoll"] });
  const stream = await world.openStream();
  await world.pass(1);
  world.show();
  await world.pass(0.01);
  const rotation = await world.request("sse");
  stream.end();
  await world.pass(1);
  (await world.request("poll")).fail();
  await world.settle();
  await world.pass(60);
  for (const r of world.requests.splice(0)) r.fail();
  channel.suspend();
  await world.settle();
  assert.equal(rotation.aborted, true);
});

test("a stream below the confirmed attach does not take over (ATT-3)", async () => {
  const world = new PageWorld();
  const { channel } = world.channel({ transports: ["longpoll"] });
  const open = await world.request("poll");
  open.respond(200, [opened(open.lines[0])]);
  await world.request("poll");
  channel.transports = ["sse", "longpoll"];
  const next = await world.request("sse"); // attach 2
  next.stream();
  next.event(opened(next.lines[0]));
  await world.settle();
  await world.pass(1.3);
  world.show();
  await world.pass(0.01);
  const rotated = await world.request("poll"); // attach 3
  assert.equal((rotated.lines[0] as { attach: number }).attach, 3);
  rotated.respond(200, [opened(rotated.lines[0])]);
  await world.settle();
  assert.equal(channel._driver.session.confirmed, 3);
  assert.ok(next.aborted, "nothing it brings is of use");
  channel.send("x");
  await world.pass(0.2);
  await world.pass(9);
  assert.equal(channel._driver.connector.active?.link?.attach, channel._driver.session.confirmed);
});

test("two racing opens with one stale token count as one refusal (REN-1)", async () => {
  const world = new PageWorld();
  let asked = 0;
  const { channel } = world.channel({ credentials: async () => (++asked <= 2 ? "stale" : "fresh") });
  const socket = await world.socket();
  await world.pass(1.3);
  const stream = await world.request("sse");
  socket.open();
  socket.take();
  const unauthorized = { type: "error", code: "unauthorized", message: "expired" };
  socket.receive(unauthorized);
  await world.settle();
  stream.respond(401, [unauthorized]);
  await world.settle();
  assert.notEqual(channel.state, "closed");
});

test("a close may come on a stream that is not confirmed", async () => {
  const world = new PageWorld();
  const { channel } = world.channel({ transports: ["sse"] });
  await world.openStream();
  await world.pass(10);
  world.show();
  await world.pass(0.01);
  const next = await world.request("sse");
  next.stream();
  next.event(opened(next.lines[0]));
  await world.settle();
  next.event({ type: "close", code: 1000, reason: "", by: "app", last: 0, ack: 0 });
  await world.settle();
  assert.equal(channel._driver.connector.active, undefined);
});
