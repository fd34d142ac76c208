// The engine.io server: node engineio.mjs echo|lobby <port>
import { createServer } from "node:http";
import { Server } from "engine.io";

const [role, port] = process.argv.slice(2);
const http = createServer();
const server = new Server();
server.attach(http);

server.on("connection", (socket) => {
  socket.on("message", (data) => {
    if (role === "echo") socket.send(data);
    else for (const client of Object.values(server.clients)) client.send(data);
  });
});

http.listen(Number(port), "127.0.0.1");
process.on("SIGUSR2", () => globalThis.gc());
