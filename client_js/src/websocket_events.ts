// The events of a WebSocket: the platform's own if it has them.

export const messageEvent = (data: unknown, origin: string): MessageEvent =>
  new MessageEvent("message", { data, origin });

/** Node.js before version 23 has no `CloseEvent`. */
export const closeEvent = (code: number, reason: string, wasClean: boolean): CloseEvent => {
  const fields = { code, reason, wasClean };
  return globalThis.CloseEvent
    ? new CloseEvent("close", fields)
    : (Object.assign(new Event("close"), fields) as CloseEvent);
};
