import { FallbackWebSocket } from "onechannel/websocket";
import ReconnectingWebSocket from "reconnecting-websocket";

const IN_FLIGHT = 5;
const minReconnectionDelay = 100;

const url = `ws://${location.host}/ws`;
const socket = new ReconnectingWebSocket(url, [], { WebSocket: FallbackWebSocket, minReconnectionDelay });

let opened = 0;
const echoes: string[] = [];
socket.onopen = () => void opened++;
socket.onmessage = ({ data }) => void echoes.push(data);

/** Sends messages, some of them before the socket is open, and returns their echoes and how often it opened. */
async function echo(messages: string[]): Promise<{ echoes: string[]; opened: number }> {
  const next = messages.values();
  const send = () => {
    const { value } = next.next();
    if (value !== undefined) socket.send(value);
  };
  for (let count = 0; count < IN_FLIGHT; count++) send();
  await new Promise<void>((done) =>
    socket.addEventListener("message", () => {
      send();
      if (echoes.length >= messages.length) done();
    }),
  );
  // What was sent twice arrives before the end.
  await new Promise<void>((done) => {
    socket.addEventListener("close", () => done());
    socket.close();
  });
  return { echoes, opened };
}

Object.assign(window, { echo, opened: () => opened });
