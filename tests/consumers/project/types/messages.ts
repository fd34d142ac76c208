// The types of messages. Compiled, never run.
import { Channel } from "onechannel";
import type { ChannelEventMap } from "onechannel";
import { acrossReloads } from "onechannel/reload";

type Say = { say: string };
type Note = { note: number } | Uint8Array;

const channel = new Channel<Note, Say>("/chat");
export const kept: Promise<Channel<Note, Say>> = acrossReloads<Note, Say>(Channel, "/chat");

void channel.send({ say: "hello" });
// @ts-expect-error
void channel.send({ note: 1 });

function onNote(note: Note): void {
  if (!(note instanceof Uint8Array)) note.note satisfies number;
}
channel.addEventListener("message", ({ data }) => onNote(data));
channel.addEventListener("reset", ({ sends }) => sends.forEach(({ message }) => message.say satisfies string));
export const onMessage = ({ data }: ChannelEventMap<Note>["message"]): void => onNote(data);
channel.removeEventListener("message", onMessage);
// @ts-expect-error
channel.addEventListener("message", ({ data }) => data.say);
export async function notes(): Promise<void> {
  for await (const note of channel) onNote(note);
}

channel.onmessage = ({ data }) => onNote(data);
channel.onmessage = onMessage;
channel.onmessage = function () {
  void this.send({ say: "hello" });
};
channel.onreset = ({ sends }) => sends.map(({ message }) => message.say);
channel.onclose = ({ code, wasClean }) => [code satisfies number, wasClean satisfies boolean];
channel.onclose = () => {};
channel.onclose = null;
channel.onmessage?.(new Event("message") as ChannelEventMap<Note>["message"]);
// @ts-expect-error
channel.onmessage = ({ data }) => data.say;
// @ts-expect-error
channel.onmessage = ({ code }: ChannelEventMap["close"]) => code;
// @ts-expect-error
channel.onclose = "alert()";
// @ts-expect-error There is no such event.
channel.onerror = null;

// What shows the state of any channel takes this one, but a channel of anything is not one of notes.
const show = (any: Channel): void => void (any.onstatechange = ({ state, previous }) => [state, previous, any.state]);
show(channel);
declare const any: Channel;
// @ts-expect-error
export const other: Channel<Note, Say> = any;
