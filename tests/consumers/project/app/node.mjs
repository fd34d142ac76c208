// Node.js imports the package as it is. The argument is the URL of an echo server.
import { Channel, ChannelError } from "onechannel";
import manifest from "onechannel/package.json" with { type: "json" };
import { acrossReloads } from "onechannel/reload";

const [, , url] = process.argv;
if (manifest.name !== "onechannel") throw new Error(manifest.name);
for (const make of [() => new Channel(url), () => acrossReloads(Channel, url)]) {
  const channel = await make();
  await channel.send("hello");
  for await (const data of channel) {
    if (data !== "hello") throw new Error(String(data));
    break;
  }
  await channel.close();
  try {
    await channel.send("late");
    throw new Error("a closed channel sent");
  } catch (error) {
    if (!(error instanceof ChannelError && error.code === "closed")) throw error;
  }
}
console.log("passed");
