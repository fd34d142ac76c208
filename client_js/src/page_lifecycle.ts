// The life of a page: what the browser tells of the network and of the page itself. All of it are hints.
import type { Environment } from "./environment.ts";

export interface PageListener {
  /** The page may have slept, or its network may be gone: whether the connection stands is to be seen. */
  _wake(): void;
  /** The network is another. */
  _moved(): void;
  /** The page goes; `persisted`: it may come back as it is. */
  _hide(persisted: boolean): void;
  /** It is shown, for the first time or again. */
  _show(): void;
}

/**
 * Listens until `signal` aborts. Never to `unload` or `beforeunload`: the one keeps a page out of the
 * back/forward cache, and after the other it may stay.
 */
export function listen(env: Environment, hearer: PageListener, signal: AbortSignal): void {
  const { document, navigator } = env;
  const on = (target: object | undefined, type: string, act: (event: PageTransitionEvent) => void): void =>
    (target as EventTarget | undefined)?.addEventListener?.(type, act as (event: Event) => void, { signal });
  const moved = (): void => hearer._moved();
  on(env, "online", moved);
  on(navigator?.connection, "change", moved);
  on(env, "offline", () => hearer._wake());
  for (const type of ["visibilitychange", "resume"]) on(document, type, () => document!.visibilityState === "visible" && hearer._wake());
  on(env, "pagehide", ({ persisted }) => hearer._hide(persisted));
  on(env, "pageshow", () => hearer._show());
}
