import { eventParser } from "../sse.ts";
import { exchange, post } from "./post.ts";
import type { Transport, Wiring } from "./transport.ts";

/**
 * Server-sent events read by a streaming fetch: unlike EventSource it can POST, shows the status, and leaves
 * the reconnecting to us (SSE-1).
 */
export function sse(wiring: Wiring): Transport {
  const control = new AbortController();

  const read = async (body: ReadableStream<Uint8Array>): Promise<void> => {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parse = eventParser();
    // `stream`: a chunk may end within a character.
    for (let part; !(part = await reader.read()).done; )
      for (const wire of parse(decoder.decode(part.value, { stream: true }))) wiring._hear({ type: "frame", wire });
  };

  return {
    _send: (out) => void (out.type === "open" ? exchange(wiring, "sse", out, control, read) : post(wiring, out)),
    _drop: () => control.abort(),
  };
}
