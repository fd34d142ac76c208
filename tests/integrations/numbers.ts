// A conversation in numbers: a page sends 1, 2, 3 and so on through its library, and the server answers each.
const IN_FLIGHT = 5;

const shown: unknown[] = [];
let connected = 0;
let changed = () => {};

/** Notes that the library has connected. */
export function noteConnected(): void {
  connected++;
  changed();
}

/** Notes what the library has received: the next number, unless one was lost, doubled or changed. */
export function show(received: unknown): void {
  shown.push(received);
  changed();
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise<void>((resolve) => (changed = resolve));
}

/** Lets the test call `count`, once the library has connected. `send` sends a number. */
export async function offerCount(send: (number: number) => void): Promise<void> {
  const untilShown = (length: number) => until(() => shown.length >= length);

  const sendAll = async (last: number) => {
    for (let number = 1; number <= last; number++) {
      // The last goes alone: what was sent twice comes back before it.
      await untilShown(number - (number < last ? IN_FLIGHT : 1));
      send(number);
    }
    await untilShown(last);
  };

  /**
   * Sends all numbers up to the last. Returns what was shown, and how often the library has connected; that also after
   * `seconds`, so that the test shows what is missing.
   */
  const count = async (last: number, seconds: number) => {
    await Promise.race([sendAll(last), new Promise((resolve) => setTimeout(resolve, 1000 * seconds))]);
    return { shown, connected };
  };
  await until(() => connected > 0);
  Object.assign(window, { count });
}
