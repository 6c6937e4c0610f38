#!/usr/bin/env bash
# reconnecting-websocket 4.4.0 (npm) keeps what is sent while the connection is down, and sends all of it, however old, once it is back: orders leave late.
#
# Versions: reconnecting-websocket 4.4.0, ws 8.18.3 (Node 20)
#
# Guess: `send` on a connection that is closed raises, or what was sent is lost; a reconnection begins with nothing.
#
# Behaviour: it is queued, without a bound and without an age (`maxEnqueuedMessages` is Infinity), `send` returns as usual,
#   and right after the next `open` the queue leaves, before anything that the listener of `open` sends, such as a log-in.
#   `maxEnqueuedMessages: 0` lets nothing be queued; nothing tells then that it was dropped.
#
# Why it matters to a relay from TradingView to Bybit: orders can be sent to Bybit over a WebSocket. An entry that was
#   given up because the exchange could not be reached leaves with the reconnection, at another price, and with it each
#   repetition; and whatever comes before the log-in is refused.
#
# Output seen, which is what this script compares with:
#> as it comes: send raises nothing, state 3, 14 bytes wait
#>   the server has: order 1, order 2, order 3, log-in
#> maxEnqueuedMessages 0: send raises nothing, state 3, 0 bytes wait
#>   the server has: order 1, log-in
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
timeout 300 npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts \
  reconnecting-websocket@4.4.0 ws@8.18.3 >&2

cat >"$folder/check.cjs" <<'END'
const { once } = require("node:events");
const Reconnecting = require("reconnecting-websocket");
const { WebSocket, WebSocketServer } = require("ws");

async function listen(port, received, isDone) {
  const server = new WebSocketServer({ host: "127.0.0.1", port });
  server.on("connection", (socket) =>
    socket.on("message", (message) => {
      received.push(String(message));
      isDone();
    }),
  );
  await once(server, "listening");
  return server;
}

async function end(server) {
  server.clients.forEach((each) => each.terminate());
  await new Promise((ended) => server.close(ended));
}

async function show(words, options) {
  const received = [];
  let isDone = () => {};
  const next = () => new Promise((resolve) => (isDone = resolve));
  let server = await listen(0, received, () => isDone());
  const { port } = server.address();
  const socket = new Reconnecting(`ws://127.0.0.1:${port}`, [], { WebSocket, minReconnectionDelay: 300, ...options });
  const heard = (name) => new Promise((resolve) => socket.addEventListener(name, resolve, { once: true }));
  await heard("open");
  const first = next();
  socket.send("order 1");
  await first;
  const closed = heard("close");
  await end(server);
  await closed;
  let raises = "nothing";
  try {
    socket.send("order 2");
    socket.send("order 3");
  } catch (error) {
    raises = String(error);
  }
  console.log(`${words}: send raises ${raises}, state ${socket.readyState}, ${socket.bufferedAmount} bytes wait`);
  const last = new Promise((resolve) => (isDone = () => received.at(-1) === "log-in" && resolve()));
  socket.addEventListener("open", () => socket.send("log-in"));
  server = await listen(port, received, () => isDone());
  await last;
  console.log(`  the server has: ${received.join(", ")}`);
  socket.close();
  await end(server);
}

(async () => {
  await show("as it comes", {});
  await show("maxEnqueuedMessages 0", { maxEnqueuedMessages: 0 });
  process.exit(0);
})();
END

seen=$(timeout 60 node "$folder/check.cjs")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
