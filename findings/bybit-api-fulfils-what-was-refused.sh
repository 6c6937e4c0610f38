#!/usr/bin/env bash
# bybit-api 4.7.7 (npm) fulfils the promise of an order that Bybit refused, and of an answer that is no JSON; over WebSocket the same refusal rejects it.
#
# Version: bybit-api 4.7.7, axios as it brings it
#
# Guess: `await submitOrder(…)` throws an Error when `retCode` is not 0, or when there is none.
#
# Behaviour: over REST whatever comes with HTTP status 200 fulfils the promise: a refusal, "too many visits", an empty
#   object, and a page of HTML, spread into an object of its single letters. With another status it rejects by a plain
#   object that is no Error, and prints as [object Object]. `WebsocketAPIClient.submitNewOrder`, of the same package,
#   rejects on a refusal.
#
# Why it matters: `try { await client.submitOrder(…); position = open } catch` counts a refused order as one that was
#   placed; the same code with the WebSocket client does not. Each answer's `retCode` has to be compared with 0, and a
#   missing one to count as unknown.
#
# Output seen, which is what this script compares with:
#> REST: refused for want of balance        fulfilled, retCode 110007
#> REST: too many visits                    fulfilled, retCode 10006
#> REST: an empty object                    fulfilled, retCode undefined
#> REST: a page of HTML                     fulfilled, retCode undefined
#> REST: status 503                         rejected by no Error: [object Object]
#> WebSocket: refused for want of balance   rejected by no Error: [object Object]
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
timeout 300 npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts bybit-api@4.7.7 >&2

cat >"$folder/check.cjs" <<'END'
const http = require("node:http");
const { RestClientV5, WebsocketAPIClient } = require("bybit-api");
const { WebSocketServer } = require("ws");

const refusal = { retCode: 110007, retMsg: "ab not enough for new order", result: {} };
const answers = {
  "refused for want of balance": [200, JSON.stringify(refusal)],
  "too many visits": [200, JSON.stringify({ retCode: 10006, retMsg: "Too many visits!", result: {} })],
  "an empty object": [200, "{}"],
  "a page of HTML": [200, "<html>maintenance</html>"],
  "status 503": [503, "Service Unavailable"],
};
let answer;
const exchange = http.createServer((request, response) => {
  request.resume().on("end", () => {
    response.writeHead(answer[0], { "Content-Type": answer[1][0] === "{" ? "application/json" : "text/html" });
    response.end(answer[1]);
  });
});
const stream = new WebSocketServer({ server: exchange });
stream.on("connection", (socket) => socket.on("message", (text) => {
  const { op, reqId } = JSON.parse(text);
  socket.send(JSON.stringify({ op, reqId, ...(op === "auth" ? { retCode: 0 } : refusal), connId: "1" }));
}));
const order = { category: "linear", symbol: "BTCUSDT", side: "Buy", orderType: "Market", qty: "0.01" };
const show = async (words, promise) => {
  const told = await promise.then(
    (value) => `fulfilled, retCode ${value.retCode}`,
    (error) => `rejected by ${error instanceof Error ? "an Error" : "no Error"}: ${error}`,
  );
  process.stdout.write(`${words.padEnd(40)} ${told}\n`);
};
console.info = console.log = console.error = () => {};
exchange.listen(0, "127.0.0.1", async () => {
  const host = `127.0.0.1:${exchange.address().port}`;
  const rest = new RestClientV5({ key: "key", secret: "secret", baseUrl: `http://${host}` });
  for (const words of Object.keys(answers)) {
    answer = answers[words];
    await show(`REST: ${words}`, rest.submitOrder(order));
  }
  const socket = new WebsocketAPIClient({ key: "key", secret: "secret", wsUrl: `ws://${host}` });
  await show("WebSocket: refused for want of balance", socket.submitNewOrder(order));
  process.exit();
});
END

seen=$(timeout 60 node "$folder/check.cjs")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
