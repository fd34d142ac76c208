import { exchange, post } from "./post.ts";
import type { Transport, Wiring } from "./transport.ts";

/** Long polling: `open` and each poll are a POST to `poll`, the uplink goes beside it (POL-1). */
export function longpoll(wiring: Wiring): Transport {
  const control = new AbortController();
  return {
    _send: (out) => void (out.type === "post" ? post(wiring, out) : exchange(wiring, "poll", out, control)),
    _drop: () => control.abort(),
  };
}
