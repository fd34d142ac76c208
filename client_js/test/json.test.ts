// Which values of an application are sent, as which JSON, and what is said of the others (DAT-3, DAT-11).
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runInNewContext } from "node:vm";
import { ChannelError } from "../src/errors.ts";
import { encodeJson } from "../src/json.ts";

const encode = (value: unknown, depth = 8): string => encodeJson(value, "message", depth);

class Point {
  x = 1;
  move = (): void => {};
  #secret = 2;
  get sum(): number {
    return this.x + this.#secret;
  }
}

describe("a value that JSON.stringify carries is sent as it writes it", () => {
  const values: { [what: string]: unknown } = {
    "plain values": { a: [1, -0.5, null, true, false, "\u{1F600}\u2028\n\"\\"], "": {}, "-": [] },
    "the largest integers": [2 ** 53 - 1, -(2 ** 53) + 1, 1e-7, 5e-324, -0],
    "an undefined property": { text: "hi", replyTo: undefined },
    "functions and symbols as properties": { a: () => 1, b: Symbol("b"), c: 1, [Symbol("d")]: 1 },
    "a date": { at: new Date(1e12), list: [new Date(0)] },
    "toJSON, with the key": { a: { toJSON: (key: string) => "at " + key }, list: [{ toJSON: (key: string) => key }] },
    "toJSON at the top": { toJSON: (key: string) => [key] },
    "toJSON of an array": Object.assign([1], { toJSON: () => "changed" }),
    "toJSON that leaves its property out": { a: { toJSON: () => undefined } },
    "a URL": new URL("http://example.org/a"),
    "an object of a class": new Point(),
    "an object without a prototype": Object.assign(Object.create(null), { a: 1 }),
    "an object of another realm": runInNewContext("({ a: [1, { b: null }] })"),
    "an array of a subclass": new (class extends Array {})(3).fill(0),
    "a proxy": new Proxy({ a: new Proxy([1], {}) }, {}),
    "boxed primitives": [Object(1), { a: Object("b"), c: Object(false) }],
    "an array with its own keys": Object.assign([1, 2], { keys: ["id"] }),
    "an array whose class has other keys": new (class extends Array {
      override keys(): never {
        throw new Error("not called");
      }
    })(2).fill(0),
    "an object of a class with a tag": new (class {
      a = 1;
      readonly [Symbol.toStringTag] = "Money";
    })(),
    "an object with the tag of bytes": { a: 1, [Symbol.toStringTag]: "Uint8Array" },
    "keys in their order": { b: 1, 2: 1, a: 1, 1: 1, __proto__: { c: 1 } },
    "one object twice": ((one) => [one, one, { one }])({ a: 1 }),
    "inherited and hidden properties": Object.create({ a: 1 }, { b: { value: 2 }, c: { value: 3, enumerable: true } }),
  };
  for (const [what, value] of Object.entries(values))
    test(what, () => assert.equal(encode(value), JSON.stringify(value)));

  test("a key `__proto__`", () => {
    const value = JSON.parse('{"__proto__":{"a":1}}') as unknown;
    assert.equal(encode(value), JSON.stringify(value));
  });

  test("a bigint whose prototype has toJSON", () => {
    const prototype = BigInt.prototype as { toJSON?: () => string };
    prototype.toJSON = function (this: bigint) {
      return this.toString();
    };
    try {
      assert.equal(encode({ id: 12n }), '{"id":"12"}');
    } finally {
      delete prototype.toJSON;
    }
  });

  test("every getter and toJSON is called once", () => {
    let calls = 0;
    const value = {
      get a() {
        return { toJSON: () => ++calls };
      },
    };
    assert.equal(encode([value]), '[{"a":1}]');
  });
});

describe("what JSON would lose is refused, with its path", () => {
  const refusals: [unknown, string][] = [
    [{ items: [0, 1, 2, { price: NaN }] }, "message.items[3].price is NaN"],
    [-Infinity, "message is -Infinity"],
    [{ "two words": Infinity }, 'message["two words"] is Infinity'],
    [[2 ** 53], "message[0] is an integer beyond 2^53 - 1"],
    [-(2 ** 53), "message is an integer beyond 2^53 - 1"],
    [1e300, "message is an integer beyond 2^53 - 1"],
    [{ id: 1n }, "message.id is a bigint"],
    [undefined, "message is undefined"],
    [() => 1, "message is function"],
    [Symbol("s"), "message is symbol"],
    [{ toJSON: () => undefined }, "message is undefined"],
    [[1, , 2], "message[1] is undefined"],
    [{ a: [undefined] }, "message.a[0] is undefined"],
    [[() => 1], "message[0] is function"],
    [{ users: new Map([[1, 2]]) }, "message.users is of type Map"],
    [[new Set([1])], "message[0] is of type Set"],
    [{ a: Promise.resolve(1) }, "message.a is of type Promise"],
    [new Error("e"), "message is of type Error"],
    [/x/, "message is of type RegExp"],
    [new Float32Array(1), "message is of type Float32Array"],
    [{ file: new Uint8Array(1) }, "message.file is of type Uint8Array"],
    [{ file: new ArrayBuffer(1) }, "message.file is of type ArrayBuffer"],
    [new DataView(new ArrayBuffer(1)), "message is of type DataView"],
    [runInNewContext("[new Map()]"), "message[0] is of type Map"],
    [new (class extends Map {
      override get [Symbol.toStringTag]() {
        return "Object";
      }
    })(), "message is of type Map"],
    [(function* () {})(), "message is of type Generator"],
    [Object(1n), "message is a bigint"],
    [Object(NaN), "message is NaN"],
    [{ a: { toJSON: () => NaN } }, "message.a is NaN"],
    [{ a: { toJSON: () => ({ b: new Map() }) } }, "message.a.b is of type Map"],
    ["a\ud800", "message is text with a lone surrogate"],
    [{ a: "\udc00b" }, "message.a is text with a lone surrogate"],
    [{ "\ud800": 1 }, 'message["\\ud800"] is text with a lone surrogate'],
  ];
  for (const [value, start] of refusals)
    test(start, () =>
      assert.throws(
        () => encode(value),
        (error: ChannelError) => {
          assert.deepEqual([error.code, error.fate], ["invalid_message", "not_handled"]);
          assert.equal(error.message, `cannot send: ${start}. Convert it first, or leave it out.`);
          return true;
        },
      ),
    );

  test("an object that contains itself", () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const path = "message" + ".self".repeat(8);
    assert.throws(() => encode(cycle), { message: new RegExp(`^cannot send: ${path} is nested more than 8 deep`) });
    const fresh = { toJSON: (): unknown => ({ again: fresh }) };
    assert.throws(() => encode(fresh), { message: /contains itself/ });
    assert.throws(() => encode(cycle, 64), { message: /message(\.self){64} is nested more than 64 deep/ });
  });

  test("containers nested deeper than the limit", () => {
    assert.equal(encode([[[{ a: 1 }]]], 4), '[[[{"a":1}]]]');
    assert.throws(() => encode([[[{ a: [] }]]], 4), ChannelError);
    assert.throws(() => encode([[[[[]]]]], 4), ChannelError);
    assert.equal(encode("flat", 0), '"flat"');
  });

  test("an error of toJSON or a getter is passed on", () => {
    const mine = new RangeError("mine");
    const fail = (): never => {
      throw mine;
    };
    assert.throws(() => encode({ a: { toJSON: fail } }), mine);
    assert.throws(() => encode(Object.defineProperty({}, "a", { get: fail, enumerable: true })), mine);
  });
});
