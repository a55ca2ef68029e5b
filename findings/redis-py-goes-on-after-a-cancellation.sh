#!/bin/sh
# redis-py 8.1.0 on Python 3.11.7, Redis 7.0.15 (Debian 12), seen on 2026-12-01.
#
# A task that runs commands of redis.asyncio and is cancelled may go on as if nothing had been: no CancelledError is
# raised in it, and whoever waits for its end waits for ever. redis-py writes a command by `asyncio.wait_for` when the
# client has a socket_timeout, and until Python 3.12 `wait_for` loses the cancellation when what it waits for has just
# been done, which writing to a socket nearly always has. With Python 3.12 or without a socket_timeout none is lost.
#
# Source: https://docs.python.org/3/library/asyncio-task.html#task-cancellation ("asyncio components ... might misbehave
# if a coroutine swallows CancelledError"), https://github.com/python/cpython/issues/86296
#
# Needs python3.11 with venv, and redis-server. Ends with 0 while it is so.
set -eu
folder=$(mktemp -d)
server=
end() {
    if test -n "$server"; then
        kill "$server" || true
        wait "$server" || true
    fi
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 1' HUP INT TERM
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq --disable-pip-version-check redis==8.1.0
port=$(python3.11 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --save "" >"$folder/log" &
server=$!
"$folder/venv/bin/python" - "$port" <<'EOF'
import asyncio
import sys

import redis
import redis.asyncio

print("Python", sys.version.split()[0], "redis-py", redis.__version__)
TASKS = 200


async def lost(timeout):
    """How many of the cancelled tasks went on."""
    client = redis.asyncio.Redis(port=int(sys.argv[1]), socket_timeout=timeout)
    for _ in range(100):
        try:
            await client.ping()
            break
        except redis.ConnectionError:
            await asyncio.sleep(0.1)

    async def working():
        while not asyncio.current_task().cancelling():
            await client.set("key", "value")
        return "went on"

    count = 0
    for number in range(TASKS):
        task = asyncio.create_task(working())
        await asyncio.sleep(0.002 + number / 100_000)
        task.cancel()
        try:
            count += await task == "went on"
        except asyncio.CancelledError:
            pass
    await client.aclose()
    return count


with_one, without = asyncio.run(lost(5)), asyncio.run(lost(None))
print(f"cancelled tasks that went on: {with_one} of {TASKS} with a socket_timeout, {without} of {TASKS} without")
sys.exit(0 if with_one > 0 and without == 0 else 1)
EOF
