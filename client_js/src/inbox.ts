// Received messages that the application has not taken yet, and what takes them: listeners or iterators.
import type { Message } from "./events.ts";

/** What an event target is given with a listener. */
type ListenerOptions = boolean | AddEventListenerOptions | undefined;

/** A listener that was added. */
interface Registration {
  /** Its first event removes it. */
  readonly once: boolean;
  /** Stops listening to its signal. */
  readonly forget: () => void;
}

function remove(listeners: Map<unknown, Registration>, listener: unknown): void {
  listeners.get(listener)?.forget();
  listeners.delete(listener);
}

/** A call of an iterator's `next` that waits. */
interface Taker {
  readonly resolve: (result: IteratorResult<unknown>) => void;
  /** Returns whether its iterator was stopped. */
  readonly isStopped: () => boolean;
}

/**
 * A queue that is emptied by the listeners of a channel or, while it has none, by its iterators. Without either, the
 * messages wait.
 */
export class Inbox {
  private readonly _dispatch: (message: Message) => void;
  /** The messages that wait, from `_first` on, each with its size. */
  private _messages: [Message, number][] = [];
  private _first = 0;
  private _bytes = 0;
  private _isClosed = false;
  private _takers: Taker[] = [];
  /** The listeners, as an event target would list them: first those that do not capture, then those that do. */
  private readonly _listeners = [new Map<unknown, Registration>(), new Map<unknown, Registration>()] as const;

  /** `dispatch` hands a message to all listeners, and calls `forgetOnce` before that. */
  constructor(dispatch: (message: Message) => void) {
    this._dispatch = dispatch;
  }

  /** How many messages wait. */
  get size(): number {
    return this._messages.length - this._first;
  }

  /** How many bytes wait, approximately. */
  get bytes(): number {
    return this._bytes;
  }

  /** Adds a message of `size` bytes. */
  put(message: Message, size: number): void {
    this._messages.push([message, size]);
    this._bytes += size;
    this._deliver();
  }

  /**
   * Counts a listener that is added. Dispatches waiting messages in the next microtask, so that others can be added
   * first.
   */
  addListener(listener: unknown, options?: ListenerOptions): void {
    const { once = false, signal } = (options ?? {}) as AddEventListenerOptions;
    const listeners = this._listenersLike(options);
    if (!listener || signal?.aborted || listeners.has(listener)) return;
    const onAbort = (): void => remove(listeners, listener);
    signal?.addEventListener("abort", onAbort);
    listeners.set(listener, { once, forget: () => signal?.removeEventListener("abort", onAbort) });
    queueMicrotask(() => this._deliver());
  }

  removeListener(listener: unknown, options?: ListenerOptions | EventListenerOptions): void {
    remove(this._listenersLike(options), listener);
  }

  /** Forgets the listeners that an event target removes at its next event. */
  forgetOnce(): void {
    for (const listeners of this._listeners)
      for (const [listener, { once }] of listeners) if (once) remove(listeners, listener);
  }

  /** No more messages follow: iterators end after the last one. */
  close(): void {
    this._isClosed = true;
    this._deliver();
  }

  /** Returns an iterator of the messages that come while there is no listener. */
  iterate(): AsyncIterableIterator<unknown> {
    let stopped = false;
    const isStopped = (): boolean => stopped;
    const iterator: AsyncIterableIterator<unknown> = {
      [Symbol.asyncIterator]: () => iterator,
      next: () =>
        new Promise((resolve) => {
          this._takers.push({ resolve, isStopped });
          this._serve();
        }),
      // Not a generator, whose `return` would wait for a `next` that waits for a message.
      return: async () => {
        stopped = true;
        this._serve();
        return { done: true, value: undefined };
      },
    };
    return iterator;
  }

  private _listenersLike(options: ListenerOptions | EventListenerOptions): Map<unknown, Registration> {
    return this._listeners[options === true || (options as EventListenerOptions | undefined)?.capture ? 1 : 0];
  }

  private get _hasListeners(): boolean {
    return this._listeners.some(({ size }) => size > 0);
  }

  /** Hands messages to listeners while there are any, and then to iterators. */
  private _deliver(): void {
    while (this._hasListeners && this.size) this._dispatch(this._take());
    this._serve();
  }

  /** Answers the calls of iterators that need not wait. */
  private _serve(): void {
    this._takers = this._takers.filter(({ resolve, isStopped }) => {
      const canTake = !isStopped() && this.size > 0 && !this._hasListeners;
      if (canTake) resolve({ done: false, value: this._take().data });
      else if (isStopped() || (this._isClosed && !this.size)) resolve({ done: true, value: undefined });
      else return true;
      return false;
    });
  }

  private _take(): Message {
    const [message, size] = this._messages[this._first++]!;
    this._bytes -= size;
    // Not `shift`, which takes time in proportion to a long backlog.
    if (2 * this._first >= this._messages.length) {
      this._messages = this._messages.slice(this._first);
      this._first = 0;
    }
    return message;
  }
}
