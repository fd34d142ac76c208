// The errors of the client. `code` is one of PROTOCOL.md section 13, or one of these:
//   invalid_message  JSON cannot carry the message (DAT-3): convert the value that the text names
//   invalid_argument an argument of this library is wrong: change the call
//   unsupported      the JavaScript environment lacks something: docs/browser.md says what to add
//   buffer_full      too many messages wait to be sent: await earlier sends
//   closed           the channel was closed, by either side

/** The fate of a message: whether the server's application has handled it (RES-3). */
export type Fate = "handled" | "not_handled" | "unknown";

export class ChannelError extends Error {
  readonly code: string;
  readonly fate: Fate;

  constructor(code: string, message: string, fate: Fate = "not_handled") {
    super(message);
    this.name = "ChannelError";
    this.code = code;
    this.fate = fate;
  }
}

/** Throws `invalid_argument` with this message unless an argument of the application `isRight`. */
export function checkArgument(isRight: unknown, message: string): asserts isRight {
  if (!isRight) throw new ChannelError("invalid_argument", message);
}

/** Returns whether a channel may be closed with `code` (CLS-9). */
export const isCloseCode = (code: unknown): boolean =>
  typeof code === "number" && /^(100[018]|101[1-4]|[34]\d{3})$/.test(String(code));

/**
 * The codes that close the channel, because a retry would fail again (section 13, "again: no"), and their close codes.
 * Statuses that a proxy may also return (404, 405, 415, 426) are left out: they concern one transport.
 */
export const FATAL: { readonly [code: string]: number | undefined } = {
  bad_json: 4400,
  bad_frame: 4400,
  bad_number: 4400,
  unauthorized: 4401,
  forbidden_origin: 4403,
  unsupported_version: 4406,
  window_exceeded: 4412,
  too_large: 4413,
  headers_too_large: 4431,
};
