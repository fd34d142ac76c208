import type { Out } from "../session.ts";
import { EventParser } from "../sse.ts";
import { ask, post } from "./post.ts";
import type { Transport, Wiring } from "./transport.ts";

/**
 * Server-sent events read by a streaming fetch: unlike EventSource it can POST, shows status and headers,
 * and leaves the reconnecting to us (SSE-1).
 */
export function sse(wiring: Wiring): Transport {
  const control = new AbortController();
  const { hear } = wiring;

  const stream = async (out: Out): Promise<void> => {
    let reason = "no answer";
    try {
      const response = await ask(wiring, "sse", out, control.signal, "text/event-stream");
      const { body, status } = response;
      if (!response.ok) return hear({ type: "refused", of: "open", text: await response.text(), status });
      reason = "not an event stream";
      if (body && response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
        reason = "stream ended";
        const reader = body.getReader();
        const decoder = new TextDecoder();
        const parser = new EventParser();
        // `stream`: a chunk may end within a character.
        for (let part; !(part = await reader.read()).done; )
          for (const wire of parser.push(decoder.decode(part.value, { stream: true }))) hear({ type: "frame", wire });
      }
    } catch {
      // Cut: as good as ended (SSE-3).
    }
    hear({ type: "lost", reason });
    control.abort();
  };

  return {
    send: (out) => void (out.type === "open" ? stream(out) : post(wiring, out)),
    drop: () => control.abort(),
  };
}
