// The lifecycle of a page: what the browser reports about the page and its network. All of these are hints.
import type { Environment } from "./environment.ts";

export interface PageListener {
  /** The page may have slept, or lost its network: the connection may have died unnoticed. */
  onWake(): void;
  /** The network has changed. */
  onNetworkChange(): void;
  /** The page is being unloaded, or put into the back/forward cache if `persisted`. */
  onHide(persisted: boolean): void;
  /** The page is shown, for the first time or again. */
  onShow(): void;
}

/**
 * Reports to `listener` until `signal` aborts.
 *
 * Never listens to `unload`, which would keep the page out of the back/forward cache, or to `beforeunload`,
 * after which the page may stay.
 */
export function observePage(environment: Environment, listener: PageListener, signal: AbortSignal): void {
  const { document, navigator } = environment;
  type Handler = (event: PageTransitionEvent) => void;
  const on = (target: object | undefined, type: string, handler: Handler): void =>
    (target as EventTarget | undefined)?.addEventListener?.(type, handler as (event: Event) => void, { signal });
  const onVisible = (): void => {
    if (document!.visibilityState === "visible") listener.onWake();
  };
  on(document, "visibilitychange", onVisible);
  on(document, "resume", onVisible);
  on(environment, "offline", () => listener.onWake());
  on(environment, "online", () => listener.onNetworkChange());
  // Chrome reports each new estimate of the speed too: only another kind of network is a change.
  const connection = navigator?.connection;
  let type = connection?.type;
  on(connection, "change", () => {
    if (connection!.type !== type) listener.onNetworkChange();
    type = connection!.type;
  });
  on(environment, "pagehide", ({ persisted }) => listener.onHide(persisted));
  on(environment, "pageshow", () => listener.onShow());
}
