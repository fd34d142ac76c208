// The ws server, without sessions: node ws.mjs echo|lobby <port>
import { WebSocketServer } from "ws";

const [role, port] = process.argv.slice(2);
const server = new WebSocketServer({ host: "127.0.0.1", port: Number(port) });

server.on("connection", (socket) => {
  socket.on("message", (data) => {
    const text = data.toString();
    if (role === "echo") socket.send(text);
    else for (const client of server.clients) client.send(text);
  });
});

process.on("SIGUSR2", () => globalThis.gc());
