import assert from "node:assert/strict";
import { test } from "node:test";
import { RetryBudget } from "../src/budget.ts";
import { World } from "./world.ts";

test("two attempts run immediately, and two in each span after that", async () => {
  const world = new World();
  const budget = new RetryBudget(world.environment, 2);
  const made: number[] = [];
  const begun = world.now;
  for (let attempt = 0; attempt < 6; attempt++) budget.run(() => made.push(world.now - begun));
  assert.equal(budget.freeAt, begun + 6);
  await world.pass(10);
  assert.deepEqual(made.map(Math.round), [0, 0, 2, 2, 4, 4]);
});

test("an attempt waits as long as it is asked to", async () => {
  const world = new World();
  const budget = new RetryBudget(world.environment, 2);
  let made = 0;
  budget.run(() => made++, 0.5);
  await world.pass(0.4);
  assert.equal(made, 0);
  await world.pass(0.2);
  assert.equal(made, 1);
});

test("an attempt that can wait does so until both places are free", async () => {
  const world = new World();
  const budget = new RetryBudget(world.environment, 2);
  const begun = world.now;
  const made: number[] = [];
  budget.run(() => made.push(world.now - begun));
  budget.run(() => made.push(world.now - begun), 0.5);
  await world.pass(5);
  assert.deepEqual(made.map(Math.round), [0, 2]);
  assert.equal(Math.round(budget.freeAt - begun), 2);
});

test("an attempt that waits does not delay one that does not", () => {
  const world = new World();
  const budget = new RetryBudget(world.environment, 1.25);
  budget.run(() => {}, 0.25);
  budget.run(() => {});
  assert.equal(budget.freeAt - world.now, 1.25);
});
