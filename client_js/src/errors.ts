// One tree of errors. `code` is a word of PROTOCOL.md section 13, or one of ours:
//   invalid_message  JSON does not carry it faithfully (DAT-3): change the message
//   invalid_argument an argument of this library is wrong: change the call
//   buffer_full      too much waits to be sent: await earlier sends
//   closed           the channel is closed, by either side
/** What became of a message: whether the server's application has finished with it (RES-3). */
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

/**
 * Codes that end the channel: the same attempt would fail again (section 13, "again: no").
 * What a proxy can say too (404, 405, 415, 426) is not here: it only speaks of one transport.
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
};
