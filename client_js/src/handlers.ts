// The `on…` properties of a channel: event handlers as those of WebSocket.
import type { Channel } from "./channel.ts";
import type { ChannelEventMap } from "./options.ts";

/** A function, or null. Declared as a method, so that a `Channel<Note>` is a `Channel` too. */
type Handler<This, Event> = { call(this: This, event: Event): unknown }["call"] | null;

/** One property for each event. Anything but a function removes the handler; a function replaces it in its place. */
export type Handlers<Received, Sent> = {
  [Type in keyof ChannelEventMap as `on${Type}`]: Handler<
    Channel<Received, Sent>,
    ChannelEventMap<Received, Sent>[Type]
  >;
};

/** Defines one for each of the event `types`, for all objects that inherit from `prototype`. */
export function defineHandlers(prototype: EventTarget, types: readonly string[]): void {
  for (const type of types) {
    const handlers = new WeakMap<EventTarget, EventListener | null>();
    const listener = function (this: EventTarget, event: Event): void {
      handlers.get(this)!.call(this, event);
    };
    Object.defineProperty(prototype, "on" + type, {
      enumerable: true,
      configurable: true,
      get(this: EventTarget) {
        return handlers.get(this) ?? null;
      },
      set(this: EventTarget, value: unknown) {
        const isFunction = typeof value === "function";
        handlers.set(this, isFunction ? (value as EventListener) : null);
        // A listener that is added again keeps its place.
        this[isFunction ? "addEventListener" : "removeEventListener"](type, listener);
      },
    });
  }
}
