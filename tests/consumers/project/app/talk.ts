import type { Channel } from "onechannel";

/** Sends two messages, closes the channel, and returns the messages that came back. */
export async function talk(channel: Channel): Promise<unknown[]> {
  const received: unknown[] = [];
  const both = new Promise<void>((resolve) => {
    channel.addEventListener("message", ({ data }) => {
      if (received.push(data) === 2) resolve();
    });
  });
  await channel.send("hello");
  await channel.send({ answer: 42 });
  await both;
  await channel.close();
  return received;
}
