// POST, which carries all of server-sent events and of long poll (HTTP-1, SND-1).
import type { Out, Request } from "../session.ts";
import type { Wiring } from "./transport.ts";

/**
 * POSTs the lines of `out`, and reports the answer, or that there was none before `control` aborted it.
 * With `read`, that is given the body of a 200, and the report says that it has ended.
 */
export async function exchange(
  { _env: env, _url: url, _cookies: credentials, _hear: hear }: Wiring,
  segment: string,
  out: Out,
  control: AbortController,
  read?: (body: ReadableStream<Uint8Array>) => Promise<void>,
): Promise<void> {
  let text = "";
  let status = 0;
  try {
    const response = await env.fetch(url(segment), {
      method: "POST",
      body: out.wires.join("\n"),
      headers: { "Content-Type": "application/x-ndjson", Accept: read ? "text/event-stream" : "application/x-ndjson" },
      cache: "no-store",
      credentials,
      signal: control.signal,
    });
    if (read && response.ok) {
      status = 200;
      await read(response.body!);
    } else {
      text = await response.text();
      status = response.status;
    }
  } catch {
    // Cut, or aborted.
  }
  hear({ type: "answer", of: out.type as Request, status, text });
}

/** POST `send`. It is not aborted with its connection: what it carries is taken all the same. */
export async function post(wiring: Wiring, out: Out): Promise<void> {
  const control = new AbortController();
  const timer = wiring._env.setTimeout(() => control.abort(), wiring._timeout);
  await exchange(wiring, "send", out, control);
  wiring._env.clearTimeout(timer);
}
