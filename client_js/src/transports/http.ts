// Server-sent events and long polling: everything is a POST (HTTP-1).
import type { EncodedFrame } from "../codec.ts";
import { utf8Length } from "../codec.ts";
import type { Environment } from "../environment.ts";
import { eventParser } from "../event_stream.ts";
import type { Output } from "../events.ts";
import type { Transport, TransportContext } from "./interface.ts";

/** Bytes of all bodies in flight that may outlive their page: a browser fails a request above that. */
const MAX_KEEPALIVE_BYTES = 65536;
/** Maximum characters of a body that may do so while the page goes on, so that its last one has room. */
const MAX_KEEPALIVE_BODY = 1e4;

/** How much of that is free, if any is in use. All channels of a page share it. */
const freeBytes = new WeakMap<Environment, number>();

/** Returns the bytes that the last POST of a page may have. */
export const keepaliveRoom = (environment: Environment): number => freeBytes.get(environment) ?? MAX_KEEPALIVE_BYTES;

/**
 * Makes a transport whose `open` and polls are POSTs to `segment`; the uplink uses separate POSTs to `send` (POL-1,
 * SND-1).
 */
const http =
  (segment: "sse" | "poll") =>
  (context: TransportContext): Transport => {
    const { environment, postTimeout } = context;
    // Of the downlink's request: there is one at a time. A signal for all would collect their listeners.
    let controller: AbortController | undefined;
    const abort = (): void => controller?.abort();
    let lastPost: Promise<void> | undefined;
    return {
      send(output) {
        if (output.request !== "post") {
          controller = new AbortController();
          void postFrames(context, segment, output, controller.signal);
          return;
        }
        // Not aborted with its connection: the server accepts its content anyway.
        const post = new AbortController();
        const timer = environment.setTimeout(() => post.abort(), postTimeout);
        lastPost = postFrames(context, "send", output, post.signal).then(() => environment.clearTimeout(timer));
      },
      close(afterPost) {
        // If the stream ended before the POST that confirms it, the attach would be void (ATT-7).
        if (afterPost && lastPost) void lastPost.then(abort);
        else abort();
      },
    };
  };

/**
 * Server-sent events over a streaming fetch. Unlike EventSource, fetch can POST, exposes the status, and does not
 * reconnect by itself (SSE-1).
 */
export const sse = http("sse");

export const longpoll = http("poll");

/**
 * POSTs the last frames of a page that is being unloaded, at most `keepaliveRoom` bytes, in parallel with requests in
 * flight. Nobody sees the answer.
 */
export const postOnUnload = (context: TransportContext, frames: readonly EncodedFrame[]): void =>
  void postFrames(context, "send", { request: "post", frames });

/** POSTs the lines of `output`, and reports the answer or its absence. */
async function postFrames(
  context: TransportContext,
  segment: string,
  output: Output,
  signal?: AbortSignal,
): Promise<void> {
  const request = output.request!;
  const isStream = segment === "sse";
  const { environment } = context;
  const body = output.frames.join("\n");
  // Three bytes a character, at most.
  const isShort = body.length < Math.min(MAX_KEEPALIVE_BODY, keepaliveRoom(environment) / 3);
  const keepalive = request === "post" && (!signal || isShort);
  const bytes = keepalive ? utf8Length(body) : 0;
  const take = (bytes: number): void => void freeBytes.set(environment, keepaliveRoom(environment) - bytes);
  let text = "";
  let status = 0;
  let retryIn = 0;
  take(bytes);
  try {
    const response = await environment.fetch(context.urlOf(segment), {
      method: "POST",
      body,
      headers: { "Content-Type": "application/x-ndjson", Accept: isStream ? "text/event-stream" : "*/*" },
      cache: "no-store",
      credentials: context.credentials,
      keepalive,
      signal: signal ?? null,
    });
    if (isStream && response.ok && /event-stream/.test(response.headers.get("Content-Type")!)) {
      status = 200;
      context.onReached();
      await readStream(response.body!, context);
    } else {
      text = await response.text();
      status = response.status;
      // A proxy's, in seconds; the server says the same in its frame.
      retryIn = Math.max(0, Number(response.headers.get("Retry-After")) || 0);
    }
  } catch {
    // The connection was cut or aborted.
  }
  take(-bytes);
  context.onInput({ type: "answer", request, status, text, retryIn });
}

/** Reports the frames of an event stream until it ends. */
async function readStream(stream: ReadableStream<Uint8Array>, { onInput }: TransportContext): Promise<void> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const parse = eventParser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    // `stream`: a chunk may end within a character.
    for (const frame of parse(decoder.decode(value, { stream: true }))) onInput({ type: "frame", frame });
  }
}
