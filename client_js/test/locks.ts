// A fake of Web Locks, as the pages of one browser share them: one holder for each name, first come, first served.
type Options = { ifAvailable?: boolean; signal?: AbortSignal };
type Callback = (lock: object | null) => unknown;

export class Locks {
  readonly held = new Map<string, Promise<unknown>>();

  readonly request = async (name: string, { ifAvailable, signal }: Options, callback: Callback): Promise<unknown> => {
    await null;
    for (let holder; (holder = this.held.get(name));) {
      if (ifAvailable) return callback(null);
      await Promise.race([
        holder,
        new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason as Error))),
      ]);
    }
    const done = (async () => callback({ name }))();
    this.held.set(name, done);
    try {
      return await done;
    } finally {
      this.held.delete(name);
    }
  };
}
