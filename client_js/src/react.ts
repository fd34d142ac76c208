// Hooks for React. This module is not part of the client: it imports React, which the page brings.
//
// Rendering has no effects here, since React may render a component twice, on a server, or without ever mounting it.
// A channel is opened once its component is mounted, and closed in a task after the component was unmounted: StrictMode
// and hot reloading, which mount again at once, keep the session. What a component shows is read from a store that
// belongs to the channel, never copied from events into state. No message is therefore missed or shown twice, whatever
// React does between rendering and mounting or while a component is hidden, and all components see the same.
import { useCallback, useEffect, useInsertionEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { Channel } from "./index.ts";
import type { ChannelEventMap, ChannelOptions, ChannelState } from "./index.ts";

/** How many messages `useMessages` returns by default: more than a page shows, and a bound on its memory. */
const DEFAULT_LIMIT = 1000;

const NONE: readonly never[] = [];
const returnNull = (): null => null;
const doNothing = (): void => {};

/** The channel of one component, which may be mounted more than once. */
class Holder {
  /** As in the last render. */
  options: ChannelOptions | undefined;
  private _channel: Channel | null = null;
  private _url = "";
  private _timer: ReturnType<typeof setTimeout> | undefined;

  /** Returns the channel to `url` if there is one. */
  get(url: string): Channel | null {
    return this._url === url ? this._channel : null;
  }

  /** Keeps the channel to `url` if its component was unmounted just now; otherwise opens one. */
  mount(url: string): Channel {
    const kept = this.get(url);
    if (kept) {
      clearTimeout(this._timer);
      return kept;
    }
    this._url = url;
    return (this._channel = new Channel(url, this._readOptions()));
  }

  /** Closes the channel in a task of its own, unless it is mounted again before. */
  unmount(channel: Channel): void {
    this._timer = setTimeout(() => {
      if (this._channel === channel) this._channel = null;
      // What was sent before is delivered first.
      void channel.close();
    });
  }

  /** Returns options whose `credentials` are those of the last render whenever they are asked for. */
  private _readOptions(): ChannelOptions | undefined {
    const { options } = this;
    if (typeof options?.credentials !== "function") return options;
    const credentials = (): unknown => {
      const latest = this.options?.credentials;
      return typeof latest === "function" ? latest() : latest;
    };
    return { ...options, credentials };
  }
}

/**
 * Opens a channel to `url` while the component is mounted, and closes it afterwards. Another `url` opens another one.
 *
 * Returns the channel, or null before it is opened: on a server, while the component is mounted, and without a `url`.
 * Options are read when the channel is opened; only `credentials` may change later if it is a function. Pass the
 * channel to other components: each call opens a channel of its own. Invalid options throw in an effect, that is, to
 * the next error boundary.
 */
export function useChannel<Received = unknown, Sent = unknown>(
  url: string | URL | false | null | undefined,
  options?: ChannelOptions,
): Channel<Received, Sent> | null {
  const [holder] = useState(() => new Holder());
  const address = url ? String(url) : "";
  useInsertionEffect(() => {
    holder.options = options;
  });
  const subscribe = useCallback(
    (notify: () => void) => {
      if (!address) return doNothing;
      const channel = holder.mount(address);
      notify();
      return () => holder.unmount(channel);
    },
    [holder, address],
  );
  const channel = useSyncExternalStore(subscribe, () => holder.get(address), returnNull);
  return channel as Channel<Received, Sent> | null;
}

/** Returns the state of `channel`; `connecting` before it is opened. */
export function useChannelState<Received, Sent>(channel: Channel<Received, Sent> | null): ChannelState {
  const subscribe = useCallback(
    (notify: () => void) => {
      channel?.addEventListener("statechange", notify);
      return () => channel?.removeEventListener("statechange", notify);
    },
    [channel],
  );
  return useSyncExternalStore(
    subscribe,
    () => channel?.state ?? "connecting",
    () => "connecting",
  );
}

/**
 * Calls `listener` for each event of `channel` while the component is mounted. It is the listener of the last render,
 * so that it sees current props and state.
 */
export function useChannelEvent<Received, Sent, Type extends keyof ChannelEventMap>(
  channel: Channel<Received, Sent> | null,
  type: Type,
  listener: (event: ChannelEventMap<Received, Sent>[Type]) => void,
): void {
  const latest = useRef(listener);
  useInsertionEffect(() => {
    latest.current = listener;
  });
  useEffect(() => {
    const listen = (event: ChannelEventMap<Received, Sent>[Type]): void => latest.current(event);
    channel?.addEventListener(type, listen);
    return () => channel?.removeEventListener(type, listen);
  }, [channel, type]);
}

/** The last messages of a channel's session. */
class Log {
  /** Never changes: there is another list when a message has come. */
  messages: readonly unknown[] = NONE;
  limit = 0;
  readonly listeners = new Set<() => void>();
  private _new: unknown[] = [];
  private _isScheduled = false;

  constructor(channel: Pick<Channel, "addEventListener">) {
    channel.addEventListener("message", ({ data }) => {
      this._new.push(data);
      this._schedule();
    });
    // The handler of the new session begins anew, and sends again what a page needs.
    channel.addEventListener("reset", () => {
      this.messages = NONE;
      this._new = [];
      this._schedule();
    });
  }

  /** Publishes in the next microtask: a list for each message of a burst would take quadratic time. */
  private _schedule(): void {
    if (this._isScheduled) return;
    this._isScheduled = true;
    queueMicrotask(() => {
      this._isScheduled = false;
      this.messages = [...this.messages, ...this._new].slice(-this.limit);
      this._new = [];
      for (const notify of this.listeners) notify();
    });
  }
}

/** Each channel's log, from the first `useMessages` on. */
const logs = new WeakMap<object, Log>();

/**
 * Returns the messages that `channel` has received in its session, oldest first, at most `limit` of them.
 *
 * All components get the same list. It begins anew after a `reset`, and with another channel. As many are kept as the
 * greatest `limit` of the components that have asked.
 */
export function useMessages<Received, Sent>(
  channel: Channel<Received, Sent> | null,
  limit = DEFAULT_LIMIT,
): readonly Received[] {
  const subscribe = useCallback(
    (notify: () => void) => {
      if (!channel) return doNothing;
      const log = logs.get(channel) ?? new Log(channel);
      logs.set(channel, log);
      log.limit = Math.max(log.limit, limit);
      log.listeners.add(notify);
      return () => log.listeners.delete(notify);
    },
    [channel, limit],
  );
  const messages = useSyncExternalStore(
    subscribe,
    () => (channel && logs.get(channel)?.messages) ?? NONE,
    () => NONE,
  );
  const last = useMemo(() => (messages.length > limit ? messages.slice(-limit) : messages), [messages, limit]);
  return last as readonly Received[];
}
