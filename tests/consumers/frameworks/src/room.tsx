// The owner of a channel, and what shows it. A test edits the heading while the page is open.
import type { Channel } from "onechannel";
import { useChannel, useChannelEvent, useChannelState, useMessages } from "onechannel/react";
import { useEffect, useRef, useState } from "react";
import { Hideable, endless, seen } from "./view.tsx";
import type { View } from "./view.tsx";

type Messages = number | string;
type Given = { channel: Channel<Messages, Messages> | null };

function State({ channel }: Given) {
  return <output id="state">{useChannelState(channel)}</output>;
}

function List({ channel, id, limit = 5000, slow = 0 }: Given & { id: string; limit?: number; slow?: number }) {
  const messages = useMessages(channel, limit);
  const [count, setCount] = useState(0);
  seen.renders++;
  const numbers = messages.filter((message) => typeof message === "number");
  if (numbers.some((number, index) => index && number !== numbers[index - 1]! + 1)) seen.wrong.push(numbers);
  // An effect that follows each list: many lists in a row must not be taken for an endless update.
  useEffect(() => setCount(messages.length), [messages]);
  for (const until = performance.now() + slow; performance.now() < until; );
  return (
    <p>
      <output id={id}>{JSON.stringify(messages)}</output>
      <output id={`${id}-count`}>{count}</output>
    </p>
  );
}

/** Sends once to each channel, as soon as there is one, which is before it is connected. */
function Greeting({ channel }: Given) {
  const greeted = useRef<unknown>(null);
  useEffect(() => {
    if (channel && channel !== greeted.current) channel.send("joined");
    greeted.current = channel;
  }, [channel]);
  return null;
}

export function Room({ page, hubs, room, name, tick, late, listHidden, bare, waiting, slow, transports }: View) {
  const channel = useChannel<Messages, Messages>(room && `${hubs}/room?page=${page}&room=${room}`, {
    retryBase: 0.05,
    retryMax: 0.2,
    credentials: () => name,
    transports: transports as undefined,
  });
  useEffect(() => {
    Object.assign(window, { channel });
    if (channel && !seen.channels.includes(channel)) seen.channels.push(channel);
  }, [channel]);
  useChannelEvent(bare ? null : channel, "message", ({ data }) => seen.heard.push([tick, data]));
  useChannelEvent(channel, "open", () => seen.told.push("open"));
  useChannelEvent(channel, "reset", ({ reason }) => seen.told.push(`reset ${reason}`));
  useChannelEvent(channel, "close", ({ code, reason }) => seen.told.push(`close ${code} ${reason}`.trim()));
  if (waiting) throw endless;
  return (
    <>
      <h1>before</h1>
      <State channel={channel} />
      <Greeting channel={channel} />
      <Hideable isHidden={listHidden}>
        {!bare && <List channel={channel} id="list" slow={slow} />}
      </Hideable>
      {late && <List channel={channel} id="late" />}
      {late && <List channel={channel} id="last" limit={3} />}
      <output id="tick">{tick}</output>
    </>
  );
}
