// Server-sent events and long polling: everything is a POST (HTTP-1).
import type { EncodedFrame } from "../codec.ts";
import type { Output, Request } from "../events.ts";
import { eventParser } from "../event_stream.ts";
import type { Transport, Wiring } from "./interface.ts";

/** `open`, and with long polling each poll, is a POST to `segment`; the uplink goes beside it, to `send` (POL-1, SND-1). */
const http =
  (segment: "sse" | "poll") =>
  (wiring: Wiring): Transport => {
    const { env } = wiring;
    const control = new AbortController();
    const abort = (): void => control.abort();
    let posted: Promise<void> | undefined;
    return {
      send(out) {
        if (out.request !== "post") return void exchange(wiring, segment, out, control);
        // It is not aborted with its connection: what it carries is taken all the same.
        const own = new AbortController();
        const timer = env.setTimeout(() => own.abort(), wiring.timeout);
        posted = exchange(wiring, "send", out, own).then(() => env.clearTimeout(timer));
      },
      // An attach whose stream has gone before it was confirmed is none (ATT-7).
      drop: (spoken) => (spoken && posted ? void posted.then(abort) : abort()),
    };
  };

/**
 * Read by a streaming fetch: unlike EventSource it can POST, shows the status, and leaves the reconnecting to
 * us (SSE-1).
 */
export const sse = http("sse");

export const longpoll = http("poll");

/** POSTs what a page has to say as it goes, beside what is in flight: its connection is to be left behind it. */
export const postFinally = (wiring: Wiring, frames: readonly EncodedFrame[]): void =>
  void exchange(wiring, "send", { request: "post", frames }, new AbortController());

/** POSTs the lines of `out`, and reports the answer, or its end, or that `control` aborted it. */
async function exchange(
  { env, url, cookies: credentials, reached, hear }: Wiring,
  segment: string,
  { request, frames }: Output,
  control: AbortController,
): Promise<void> {
  const streams = segment === "sse";
  let text = "";
  let status = 0;
  let retryIn = 0;
  try {
    const body = frames.join("\n");
    const response = await env.fetch(url(segment), {
      method: "POST",
      body,
      headers: { "Content-Type": "application/x-ndjson", Accept: streams ? "text/event-stream" : "*/*" },
      cache: "no-store",
      credentials,
      // One in flight outlives its page; a browser takes 64 KiB of them in all.
      keepalive: request === "post" && body.length < 1e4,
      signal: control.signal,
    });
    if (streams && response.ok) {
      status = 200;
      reached();
      const reader = response.body!.getReader();
      const decoder = new TextDecoder();
      const parse = eventParser();
      // `stream`: a chunk may end within a character.
      for (let part; !(part = await reader.read()).done; )
        for (const frame of parse(decoder.decode(part.value, { stream: true }))) hear({ type: "frame", frame });
    } else {
      text = await response.text();
      status = response.status;
      // Of a proxy, in seconds; the server says the same in its frame.
      retryIn = Number(response.headers.get("Retry-After")) || 0;
    }
  } catch {
    // Cut, or aborted.
  }
  hear({ type: "answer", request: request as Request, status, text, retryIn });
}
