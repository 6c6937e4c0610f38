#!/usr/bin/env bash
# aiolimiter 1.3.0 and ratelimit 2.2.1, set to 10 calls a second, let 19 through within one.
#
# Version: aiolimiter 1.3.0, ratelimit 2.2.1, pyrate-limiter 4.5.1
#
# Guess: `AsyncLimiter(10, 1)` and `limits(calls=10, period=1)` mean that no second, wherever it begins, has more than
#   10 calls.
#
# Behaviour: aiolimiter is a leaky bucket: the first 10 go at once and each tenth of a second another one. ratelimit
#   counts in windows that begin with the first call after the last window: up to 9 at the end of one and 10 at the
#   beginning of the next. pyrate-limiter counts the calls of the second that lies behind.
#
# Why it matters: Bybit allows 10 or 20 orders a second and account; a bot that closes 15 positions after a pause of
#   some minutes gets 10006 for some of them, with a limiter at the exchange's own figure. Half the figure is safe
#   with both.
#
# Output seen, which is what this script compares with:
#> aiolimiter:     most calls within a second: 19
#> ratelimit:      most calls within a second: 19
#> pyrate-limiter: at most 11 within a second, by a real clock: True
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check aiolimiter==1.3.0 ratelimit==2.2.1 pyrate-limiter==4.5.1

cat >"$folder/check.py" <<'END'
import asyncio
import time

from aiolimiter import AsyncLimiter
from pyrate_limiter import Duration, Limiter, Rate
from ratelimit import limits


def most(moments):
    return max(sum(first <= moment < first + 1 for moment in moments) for first in moments)


class Clock(asyncio.SelectorEventLoop):
    """An event loop that goes straight to the next thing to do, so that the figures do not depend on the machine."""

    now = 1000.0

    def time(self):
        return self.now

    def _run_once(self):
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0].when()) + 1e-6
        super()._run_once()


async def burst():
    limiter, moments = AsyncLimiter(10, 1), []

    async def call():
        async with limiter:
            moments.append(asyncio.get_running_loop().time())

    await asyncio.gather(*(call() for _ in range(30)))
    return moments


print("aiolimiter:     most calls within a second:", most(Clock().run_until_complete(burst())))

now, moments = 1000.0, []


@limits(calls=10, period=1, clock=lambda: now, raise_on_limit=False)
def call():
    moments.append(now)
    return True


call()
now = 1000.9
for now in [1000.9 + tick / 100 for tick in range(40)]:
    call()
print("ratelimit:      most calls within a second:", most(moments))

limiter, moments = Limiter(Rate(10, Duration.SECOND)), []
for _ in range(30):
    limiter.try_acquire("orders")
    moments.append(time.monotonic())
print("pyrate-limiter: at most 11 within a second, by a real clock:", most(moments) <= 11)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
