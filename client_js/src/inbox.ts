// Received messages that the application has not taken yet.
import type { Message } from "./events.ts";

/** A queue that the listeners of a channel empty or, if it never had one, its iterators. */
export class Inbox {
  private readonly _dispatch: (message: Message) => void;
  private readonly _messages: Message[] = [];
  private _hasListeners = false;
  private _isClosed = false;
  /** Wake the iterators that wait. */
  private _wakers: (() => void)[] = [];

  /** `dispatch` hands a message to all listeners. */
  constructor(dispatch: (message: Message) => void) {
    this._dispatch = dispatch;
  }

  /** How many messages wait. */
  get size(): number {
    return this._messages.length;
  }

  put(message: Message): void {
    this._messages.push(message);
    this._deliver();
  }

  /** A listener was added. Dispatches waiting messages in the next microtask, so that others can be added first. */
  listen(): void {
    this._hasListeners = true;
    queueMicrotask(() => this._deliver());
  }

  /** No more messages follow: iterators end after the last one. */
  close(): void {
    this._isClosed = true;
    this._deliver();
  }

  private _deliver(): void {
    if (this._hasListeners) for (const message of this._messages.splice(0)) this._dispatch(message);
    for (const wake of this._wakers.splice(0)) wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    for (;;) {
      const message = this._messages.shift();
      if (message) yield message.data;
      else if (this._isClosed) return;
      else await new Promise<void>((resolve) => this._wakers.push(resolve));
    }
  }
}
