import { AttachAddon } from "@xterm/addon-attach";
import { Terminal } from "@xterm/xterm";
import { FallbackWebSocket } from "onechannel/websocket";
import { noteConnected, offerCount, show } from "../numbers.ts";

/** The lines that the shell writes for a number. */
const LINES = 25;

const socket = new FallbackWebSocket("/ws/terminal");
const terminal = new Terminal();
terminal.open(document.body);
await new Promise((resolve) => socket.addEventListener("open", resolve));
noteConnected();
terminal.loadAddon(new AttachAddon(socket));

const { active } = terminal.buffer;
const onLine = (take: (text: string) => void) =>
  terminal.onLineFeed(() => take(active.getLine(active.baseY + active.cursorY - 1)!.translateToString(true)));

await new Promise<void>((resolve) => {
  const prompt = onLine((text) => {
    if (text !== "ready") return;
    prompt.dispose();
    resolve();
  });
  terminal.input("stty -echo; PS1=; echo; echo ready\r");
});
let lines = 0;
onLine((text) => {
  const number = Math.floor(lines / LINES) + 1;
  const due = `${number}-${(lines++ % LINES) + 1}`;
  if (text !== due) show(`${text} in place of ${due}`);
  else if (lines % LINES === 0) show(number);
});
await offerCount((number) => terminal.input(`seq -f ${number}-%g ${LINES}\r`));
