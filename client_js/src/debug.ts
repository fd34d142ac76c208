// The debug log: what the channels of a page do, line by line, for a person to read.
//
// It is off until `Channel.debug` is set, and costs nothing until then: what is logged is passed as it is, and
// described here. A line never holds a token, credentials, a message, or other text of the application: of a frame it
// has the type and the numbers, of a failure the reason that this client has for it.
import type { EncodedFrame } from "./codec.ts";
import type { Connection } from "./connection.ts";
import type { Environment } from "./environment.ts";
import type { Input } from "./events.ts";
import type { Link } from "./link.ts";

/** Whether to log to the console, or what to call with each line. */
export type Debug = boolean | ((line: string) => void);

/** The key in `localStorage` that turns the log on for pages whose bundle hides the class. */
const STORAGE_KEY = "onechannel debug";

let debug: Debug = false;
let channels = 0;

export const getDebug = (): Debug => debug;

export function setDebug(value: Debug): void {
  debug = value;
}

/** The lines of one channel. */
export class DebugLog {
  private readonly _name = "onechannel " + ++channels;

  constructor(environment: Environment) {
    try {
      if (!debug && environment.localStorage!.getItem(STORAGE_KEY)) debug = true;
    } catch {
      // Storage is missing or blocked.
    }
  }

  /** Logs the state of an attempt. */
  attempt({ attempt, link }: Connection): void {
    if (!debug) return;
    const { transport, outcome, reason, milliseconds } = attempt;
    // Before its attach an attempt can fail with an error of the application's `credentials`.
    const why = reason && ": " + (link ? cut(reason) : "see explain()");
    this._write(transport, link, `${outcome} after ${milliseconds.toFixed()} ms${why}`);
  }

  /** Logs frames that are written. */
  wrote(link: Link, frames: readonly EncodedFrame[]): void {
    if (debug) for (const frame of frames) this._write(link.transport, link, "> " + describe(frame));
  }

  /** Logs what a connection reports. */
  read(transport: string, link: Link | undefined, input: Input): void {
    if (!debug) return;
    const write = (text: string): void => this._write(transport, link, "< " + text);
    if (input.type === "frame") return write(describe(input.frame));
    if (input.type === "lost") return write(input.reason);
    write(`${input.request} answered with ${input.status}`);
    for (const line of input.text.split("\n")) if (line) write(describe(line));
  }

  /** Logs an event of the channel. */
  event(type: string, fields: object): void {
    if (!debug || type === "message") return;
    const texts = Object.entries(fields).map(([name, value]: [string, unknown]) => {
      if (name === "sends") return ` sends=${(value as unknown[]).length}`;
      // The reason of a close is the application's, and so may others be.
      if (name === "reason") return /^(recovering|reset)$/.test(type) ? " " + cut(value as string) : "";
      return ` ${name}=${JSON.stringify(value)}`;
    });
    this._write("event", undefined, type + texts.join(""));
  }

  private _write(subject: string, link: Link | undefined, line: string): void {
    const text = `${this._name} ${subject} ${link ? `#${link.attach} ` : ""}${line}`;
    try {
      if (typeof debug === "function") debug(text);
      else console.log(text);
    } catch (error) {
      // The log must not break the channel.
      debug = false;
      console.error("Channel.debug failed and is off now:", error);
    }
  }
}

/** Returns the part of a reason that this client has written: what follows a colon may be an error's text. */
const cut = (reason: string): string => reason.split(":")[0]!;

/** Returns the type of a frame and its numbers, of which none is a secret outside of the credentials. */
function describe(frame: EncodedFrame | ArrayBuffer): string {
  try {
    if (typeof frame !== "string") {
      const view = new DataView(new Uint8Array(frame).buffer);
      return `bytes ${view.getBigUint64(0)} ack=${view.getBigUint64(8)}`;
    }
    const value = JSON.parse(frame) as { readonly [name: string]: unknown; readonly type: string };
    if (Array.isArray(value)) return `data ${+value[0]}-${value[0] + value.length - 3} ack=${+value[1]}`;
    const fields = Object.entries(value).filter(
      ([name, field]) =>
        (typeof field === "number" && name !== "credentials") || /^(code|verdict|by)$/.test(name),
    );
    return value.type.slice(0, 9) + fields.map(([name, field]) => ` ${name}=${field}`).join("");
  } catch {
    // An intermediary answered.
    return "not a frame";
  }
}
