// Builds what a link writes: WebSocket messages, bodies of POSTs, polls. Pure.
import type { AckSchedule } from "./acks.ts";
import { encodeBinary, encodeBytes, encodeControl, encodeData, utf8Length } from "./codec.ts";
import type { EncodedFrame } from "./codec.ts";
import type { Closing, Output } from "./events.ts";
import type { SendFrame } from "./frames.ts";
import type { Link } from "./link.ts";
import type { Outbox } from "./outbox.ts";
import type { PollPacing } from "./polls.ts";
import type { Terms } from "./terms.ts";

/** Factor by which base64 grows bytes, rounded up. */
const BASE64_GROWTH = 1.34;
/** Bytes around the messages of a frame, at most. */
const FRAME_OVERHEAD = 99;
/** Bytes of our `close`, a last `ack` and `leave`, at most. */
const END_OVERHEAD = 512;
/** Maximum number of body lines that are not data: the first line, and perhaps `close`, `ack` and `leave`. */
const EXTRA_LINES = 4;

/** Seconds: longer holds are not requested, as the server's own maximum is lower. */
const MAX_HOLD = 60;

/** What the uplink is written from: the session. */
export interface Source<Tag> {
  readonly client: string;
  readonly token: string | undefined;
  readonly epoch: string | undefined;
  readonly confirmed: number;
  readonly terms: Terms;
  readonly outbox: Outbox<Tag>;
  readonly acks: AckSchedule;
  readonly polls: PollPacing;
  readonly closing: Closing | undefined;
  readonly isLeaving: boolean;
  leads(link: Link): boolean;
}

/** Returns the WebSocket messages to write on `link`: always an ack if it `confirms` the attach. */
export function websocketFrames<Tag>(source: Source<Tag>, link: Link, confirms: boolean, now: number): Output[] {
  const frames: EncodedFrame[] = confirms ? [writeAck(source, link)] : [];
  // Each pass writes as much as one body would hold, because a frame has the same limit.
  let taken = takeFrames(source, link, now);
  while (taken.length) {
    frames.push(...taken);
    taken = takeFrames(source, link, now);
  }
  return frames.length ? [{ frames }] : [];
}

/** Returns the requests to start on `link`: always one if it `confirms` the attach. */
export function requests<Tag>(source: Source<Tag>, link: Link, confirms: boolean, now: number): Output[] {
  const outputs: Output[] = [];
  const { acks, polls } = source;
  // Polls are written first, so that the answer to a POST can bring the downlink. On long poll a POST names the mark,
  // which makes it an ack (POL-5).
  const polling = link.transport === "longpoll";
  const leads = source.leads(link);
  if (polling && !link.polling && leads && now >= polls.nextAt(link)) {
    link.polling = true;
    link.polledAt = now;
    const hold = polls.hold < MAX_HOLD && { hold: polls.hold };
    const fields = { poll: link.poll, ack: acks.takeMark(link), ...hold };
    outputs.push({
      request: "poll",
      frames: [encodeControl({ type: "poll", ...requestFields(source, link), ...fields })],
    });
  }
  if (!link.post) {
    const post = { next: link.next, control: link.control };
    const first = sendLine(source, link, polling ? acks.received : undefined);
    const frames = takeFrames(source, link, now, first);
    // A first poll confirms as a POST does (ATT-3).
    if (frames.length || (polling && leads && now >= acks.dueOn(link)) || (confirms && !link.polling)) {
      link.post = post;
      if (polling && leads) acks.takeMark(link);
      outputs.push({ request: "post", frames: [first, ...frames] });
    }
  }
  return outputs;
}

/**
 * Returns the lines of a POST that repeats everything the server may lack, for a page that is being unloaded; or as
 * much of it as fits into `room` bytes.
 *
 * It may be sent while requests are in flight on any link, because the server drops duplicates (NUM-3), and after
 * `link` has ended (ATT-7). One that `follows` another may overtake it: it repeats everything too, unless only what is
 * new fits.
 */
export function finalPost<Tag>(source: Source<Tag>, link: Link, room: number, follows: boolean): EncodedFrame[] {
  const first = sendLine(source, link);
  const { next } = link;
  const take = (from: number): EncodedFrame[] => {
    link.next = from;
    link.acked = -1;
    link.leaveWritten = false;
    source.acks.setDue();
    return [first, ...takeFrames(source, link, 0, first, link.attach === source.confirmed, room)];
  };
  const frames = take(0);
  return follows && link.next <= source.outbox.buffer.lastNumber ? take(next) : frames;
}

/**
 * Takes the control frames, data, our `close`, an `ack` that is due, our `leave`: as much as one body holds.
 *
 * `firstLine`: of the body, over HTTP. `leads`: whether the link carries the session, and so may carry data (ATT-3).
 * `room`: bytes of a body that is smaller than the server's limit; then nothing larger is written.
 */
function takeFrames<Tag>(
  source: Source<Tag>,
  link: Link,
  now: number,
  firstLine = "",
  leads = source.leads(link),
  room?: number,
): EncodedFrame[] {
  const frames: EncodedFrame[] = [...link.control];
  link.control = [];
  if (!leads) return frames;
  takeData(source, link, frames, firstLine, room);
  const { acks, closing, outbox } = source;
  const isComplete = link.next > outbox.buffer.lastNumber;
  if (closing && !link.closeWritten && isComplete) frames.push(writeClose(source, link, closing));
  const isAckDue = now >= acks.dueOn(link);
  // On long poll the first line is the ack, except that of a final POST.
  if (isAckDue && (link.transport !== "longpoll" || room !== undefined)) frames.push(writeAck(source, link));
  // Again after anything else, which would take it back. What does not fit into a final POST is lost.
  if (source.isLeaving && (frames.length || isAckDue || !link.leaveWritten) && (isComplete || room !== undefined)) {
    link.leaveWritten = true;
    frames.push(encodeControl({ type: "leave" }));
  }
  return frames;
}

/** Adds as many messages to `frames` as fit. Any single message fits in a body, unless there is less `room`. */
function takeData<Tag>(
  source: Source<Tag>,
  link: Link,
  frames: EncodedFrame[],
  firstLine: string,
  room?: number,
): void {
  const { acks, terms } = source;
  const { buffer } = source.outbox;
  // Messages acknowledged in the meantime are not repeated.
  let number = Math.max(link.next, buffer.first);
  const isBounded = room !== undefined;
  let left = Math.min(room ?? Infinity, terms.body) - FRAME_OVERHEAD - END_OVERHEAD;
  left -= utf8Length([firstLine, ...frames].join());
  const lines = terms.batch - (firstLine ? EXTRA_LINES : 0);
  let texts: string[] = [];
  const flush = (): void => {
    if (texts.length) frames.push(encodeData(number - texts.length, acks.takeMark(link), texts));
    texts = [];
  };
  let entry = buffer.peek(number, terms);
  while (entry) {
    // After bytes or a `skip`, another frame begins.
    left -= typeof entry.body === "string" ? entry.size + 1 : entry.size * BASE64_GROWTH + 2 * FRAME_OVERHEAD;
    const count = texts.length + frames.length;
    if ((count || isBounded) && (left < 0 || count >= lines)) break;
    buffer.markWritten(number, entry);
    if (entry.skipped) {
      flush();
      frames.push(encodeControl({ type: "skip", number, ack: acks.takeMark(link) }));
    } else if (typeof entry.body === "string") {
      texts.push(entry.body);
    } else {
      flush();
      const encode = firstLine ? encodeBytes : encodeBinary;
      frames.push(encode(number, acks.takeMark(link), entry.body));
    }
    number++;
    entry = buffer.peek(number, terms);
  }
  flush();
  link.next = number;
}

/** Returns our `close`, requested or in answer to the server's (CLS-1, CLS-3), and records that `link` has it. */
export function writeClose<Tag>(source: Source<Tag>, link: Link, { code, reason, by }: Closing): string {
  link.closeWritten = true;
  const { acks, outbox } = source;
  return encodeControl({ type: "close", code, reason, by, last: outbox.buffer.next - 1, ack: acks.takeMark(link) });
}

/** Returns an `ack`, and records that `link` has it. */
export const writeAck = <Tag>({ acks }: Source<Tag>, link: Link): string =>
  encodeControl({ type: "ack", ack: acks.takeMark(link) });

/** Returns the first line of a POST (SND-1); `ack`: the mark that it names. */
const sendLine = <Tag>(source: Source<Tag>, link: Link, ack?: number): string =>
  encodeControl({ type: "send", ...requestFields(source, link), ack: ack! });

/** Returns the fields by which every request names its session. */
const requestFields = <Tag>({ token, client, epoch }: Source<Tag>, { attach }: Link): Omit<SendFrame, "type"> => ({
  session: token!,
  client,
  attach,
  epoch: epoch!,
});
