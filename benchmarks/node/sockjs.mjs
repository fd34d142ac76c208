// The sockjs server: node sockjs.mjs echo|lobby <port>
import { createServer } from "node:http";
import sockjs from "sockjs";

const [role, port] = process.argv.slice(2);
const server = sockjs.createServer({ log() {} });
const members = new Set();

server.on("connection", (connection) => {
  members.add(connection);
  connection.on("close", () => members.delete(connection));
  connection.on("data", (message) => {
    if (role === "echo") connection.write(message);
    else for (const member of members) member.write(message);
  });
});

const http = createServer();
server.installHandlers(http, { prefix: "/chat" });
http.listen(Number(port), "127.0.0.1");
process.on("SIGUSR2", () => globalThis.gc());
