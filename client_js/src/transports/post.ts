// POST, the uplink of server-sent events and of long poll (HTTP-1, SND-1).
import type { Out } from "../session.ts";
import type { Wiring } from "./transport.ts";

/** POSTs the lines of `out`. Rejects where there is no answer. */
export const ask = ({ env, url, withCredentials }: Wiring, segment: string, out: Out, signal: AbortSignal, accept: string): Promise<Response> =>
  env.fetch(url(segment), {
    method: "POST",
    body: out.wires.join("\n"),
    headers: { "Content-Type": "application/x-ndjson", Accept: accept },
    cache: "no-store",
    credentials: withCredentials ? "include" : "same-origin",
    signal,
  });

/** POSTs, and reports the whole answer, or that there was none before `control` aborted it. */
export async function exchange(wiring: Wiring, segment: string, out: Out, control: AbortController): Promise<void> {
  const of = out.type as "open" | "post" | "poll";
  try {
    const response = await ask(wiring, segment, out, control.signal, "application/x-ndjson");
    const text = await response.text();
    wiring.hear(
      response.ok
        ? { type: "answered", of, lines: text.split("\n").filter(Boolean) }
        : { type: "refused", of, text, status: response.status },
    );
  } catch {
    wiring.hear({ type: "unanswered", of });
  }
}

/** POST `send`. It is not aborted with its connection: what it carries is taken all the same. */
export async function post(wiring: Wiring, out: Out): Promise<void> {
  const { env, postTimeout } = wiring;
  const control = new AbortController();
  const timer = env.setTimeout(() => control.abort(), postTimeout * 1000);
  await exchange(wiring, "send", out, control);
  env.clearTimeout(timer);
}
