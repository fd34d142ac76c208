import { FallbackWebSocket } from "onechannel/websocket";
import { Socket } from "phoenix";
import { noteConnected, offerCount, show } from "../numbers.ts";

type Payload = { number: number } | ArrayBuffer;

/** Every third payload is binary. */
const payloadOf = (number: number): Payload => (number % 3 ? { number } : Uint16Array.of(number).buffer);
const numberOf = (payload: Payload) => (payload instanceof ArrayBuffer ? new Uint16Array(payload)[0] : payload.number);

const socket = new Socket("/ws/socket", {
  transport: FallbackWebSocket,
  timeout: 120_000,
  heartbeatIntervalMs: 120_000,
});
socket.onOpen(noteConnected);
socket.connect();
const lobby = socket.channel("room:lobby");
lobby.join();

// Each number comes back twice: as the answer to its push, then as a broadcast.
const answers: unknown[] = [];
lobby.on("say", (payload: Payload) => {
  const answer = answers.shift();
  const number = numberOf(payload);
  show(answer === number ? number : `${answer} and ${number}`);
});
await offerCount((number) => {
  lobby.push("say", payloadOf(number)).receive("ok", (payload: Payload) => answers.push(numberOf(payload)));
});
