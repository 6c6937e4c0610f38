#!/usr/bin/env bash
# @grammyjs/auto-retry 2.0.2 sends a Telegram message again whose answer was lost: one alert arrives three times.
#
# Version: @grammyjs/auto-retry 2.0.2, grammy 1.46.0
#
# Guess: it waits and tries again where Telegram said that nothing was done, on 429; a message that may have arrived
#   is left to the caller, as grammY itself does.
#
# Behaviour: any error of the network, and a 5xx, is followed by another try after 3, 6, 12, … seconds, without a
#   limit by default, also of `sendMessage`, which has no key that would tell Telegram that it is the same.
#   `rethrowHttpErrors: true` and `rethrowInternalServerErrors: true` leave both to the caller.
#
# Why it matters: a message about a fill that comes three times looks like three fills, and a bot that reads commands
#   from its own channel acts on each. The plugin is what grammY's guide proposes against flood limits.
#
# Output seen, which is what this script compares with:
#> without the plugin, answer lost twice  told HttpError  messages that arrived: 1
#> auto-retry, too fast once              told sent       messages that arrived: 1
#> auto-retry, answer lost twice          told sent       messages that arrived: 3
#> auto-retry, rethrowHttpErrors          told HttpError  messages that arrived: 1
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
timeout 300 npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts grammy@1.46.0 @grammyjs/auto-retry@2.0.2 >&2

cat >"$folder/check.mjs" <<'END'
import { autoRetry } from "@grammyjs/auto-retry";
import { Api } from "grammy";
import http from "node:http";

let arrived = 0;
let troubles = [];
const telegram = http.createServer((request, response) => {
  request.resume().on("end", () => {
    const trouble = troubles.shift();
    if (trouble !== 429) arrived += 1;
    if (trouble === "cut") return request.socket.destroy();
    response.statusCode = trouble ?? 200;
    const refusal = { ok: false, error_code: 429, description: "Too Many Requests", parameters: { retry_after: 1 } };
    response.end(JSON.stringify(trouble ? refusal : { ok: true, result: { message_id: 1 } }));
  });
});
telegram.listen(0, "127.0.0.1", async () => {
  for (const [words, options, happens] of [
    ["without the plugin, answer lost twice", null, ["cut", "cut"]],
    ["auto-retry, too fast once", {}, [429]],
    ["auto-retry, answer lost twice", {}, ["cut", "cut"]],
    ["auto-retry, rethrowHttpErrors", { rethrowHttpErrors: true }, ["cut", "cut"]],
  ]) {
    [arrived, troubles] = [0, happens];
    const api = new Api("1:token", { apiRoot: `http://127.0.0.1:${telegram.address().port}` });
    if (options) api.config.use(autoRetry(options));
    const told = await api.sendMessage(1, "BTCUSDT filled").then(() => "sent", (error) => error.constructor.name);
    console.log(`${words.padEnd(38)} told ${told.padEnd(10)} messages that arrived: ${arrived}`);
  }
  process.exit();
});
END

seen=$(timeout 120 node "$folder/check.mjs")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
