// Finds out why nothing connects, or no WebSocket, from the answers that the attempts got, or by a plain GET.
//
// A browser hides why an upgrade or a request has failed. What it does tell: a status and a body, if the page may read
// the answer; or only whether there was one.
import type { Environment } from "./environment.ts";

/**
 * Why nothing connects.
 *
 * `offline`: the browser says so. `no_answer`: nothing answers at the URL. `wrong_url`: something else than a hub does.
 * `forbidden_origin`: the server does not allow pages of this origin. `refused`: the server or something in front of it
 * refuses, or does not reach it. `credentials`: the `credentials` function fails, or takes too long.
 */
export type UnreachableCause = "offline" | "no_answer" | "wrong_url" | "forbidden_origin" | "refused" | "credentials";

export interface Diagnosis {
  readonly cause: UnreachableCause;
  /** In words: what is wrong, and what to do. */
  readonly reason: string;
}

const tell = (cause: UnreachableCause, reason: string): Diagnosis => ({ cause, reason });

export const OFFLINE = tell("offline", "offline: the browser has no network");

export const NO_ANSWER = tell(
  "no_answer",
  "no answer: the server is down, the host or port is wrong, or something blocks the way",
);

const HIDDEN = tell(
  "forbidden_origin",
  "this origin may not read the answer (CORS). Check the URL, and list the origin in Hub(origins=[...])",
);

/** Returns what it means that the hub itself has refused an attempt: its `message` says what to do. */
export const readRefusal = (code: string, message: string, answer: string | number = code): Diagnosis =>
  tell(
    code === "forbidden_origin" ? code : code === "not_found" ? "wrong_url" : "refused",
    `the server answers ${answer}: ${message}`,
  );

/** Returns what an answer with this status means for an attempt that it refused. */
export function readStatus(status: number, body = ""): Diagnosis {
  if (status < 300 || status === 404 || status === 405)
    return tell("wrong_url", `HTTP ${status}: there is no hub at this URL. Check its path`);
  const [, code, message] = /^{"type":"error","code":"(\w+)","message":"([^"]*)/.exec(body) ?? [];
  if (code) return readRefusal(code, message!, status);
  const isRefusal = status < 500;
  const what = isRefusal ? "something in front of the server refuses" : "the server fails, or a proxy cannot reach it";
  return tell("refused", `HTTP ${status}: ${what}`);
}

/**
 * Asks at `url`, the URL of a hub's WebSocket. Never rejects; gives up when `signal` aborts.
 *
 * `permit`: resolves once the next request may be made.
 */
export async function diagnose(
  environment: Environment,
  url: string,
  permit: () => Promise<void>,
  signal: AbortSignal,
): Promise<Diagnosis> {
  const { location } = environment;
  const get = async (mode: RequestMode): Promise<Response> => {
    await permit();
    return environment.fetch(url, { cache: "no-store", mode, signal });
  };
  try {
    const response = await get("cors");
    return readStatus(response.status, await response.text());
  } catch {
    const isForeign = location && new URL(location.href).origin !== new URL(url).origin;
    return isForeign ? get("no-cors").then(() => HIDDEN, () => NO_ANSWER) : NO_ANSWER;
  }
}
