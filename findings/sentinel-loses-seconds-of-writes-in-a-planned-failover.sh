#!/bin/sh
# Redis 8.0.2 (Debian 13, redis-server 5:8.0.2-3+deb13u3), seen on 2026-11-30.
#
# In a planned failover (`SENTINEL FAILOVER`), with every server alive and reachable, Sentinel promotes the replica and
# names it as the new primary at once, but tells the old primary nothing for some seconds. Until then that one goes on
# answering OK to writes of clients that are connected to it; when it is made a replica it copies the new primary, and
# all of these writes are gone. A planned move loses seconds of acknowledged writes, and a client that is not told is
# not refused: it has to ask Sentinel again by itself. Redis has a command of its own, `FAILOVER`, that pauses the
# writers first, since version 6.2; Sentinel does not use it.
#
# Source: https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/ ("Sentinel commands"),
# https://redis.io/docs/latest/commands/failover/, https://github.com/redis/redis/issues/6062
#
# Needs root on a Debian with mmdebstrap (it makes a small Debian 13 in a temporary folder), and Python 3.
# Ends with 0 while it is so.
set -eu
folder=$(mktemp -d)
root=$folder/root
server=
end() {
    if test -n "$server"; then
        kill -KILL $(cat "/proc/$server/task/$server/children") || true
        wait "$server" || true
    fi
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 1' HUP INT TERM
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)
mmdebstrap --quiet --variant=apt --include=redis-server=5:8.0.2-3+deb13u3 trixie "$root" \
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main"
chroot "$root" dpkg-query -Wf '${Package} ${Version}\n' redis-server
set -- $(python3 -c '
import socket
sockets = [socket.socket() for _ in range(3)]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in sockets))')
cat >"$root/sentinel.conf" <<EOF
bind 127.0.0.1
port $3
dir /tmp
sentinel monitor main 127.0.0.1 $1 1
EOF
cat >"$root/serve" <<EOF
mkdir /one /two
redis-server --bind 127.0.0.1 --port $1 --dir /one --save "" &
redis-server --bind 127.0.0.1 --port $2 --dir /two --save "" --replicaof 127.0.0.1 $1 &
exec redis-server /sentinel.conf --sentinel
EOF
unshare --mount --pid --fork --kill-child=KILL sh -c '
    mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && chroot "$1" sh /serve; exit $?' sh "$root" \
    >"$folder/log" 2>&1 &
server=$!
python3 - "$@" <<'EOF'
import socket
import sys
import time

class Redis:
    """A connection; ``say`` sends one command and reads its reply."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.lines = self.socket.makefile("rb")

    def say(self, *words):
        bulks = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        self.socket.sendall(f"*{len(words)}\r\n{bulks}".encode())
        return self.reply()

    def reply(self):
        line = self.lines.readline().decode()
        if not line:
            raise ConnectionError("closed")
        kind, rest = line[0], line[1:].rstrip()
        if kind == "$":
            return None if rest == "-1" else self.lines.read(int(rest) + 2)[:-2].decode()
        return [self.reply() for _ in range(int(rest))] if kind == "*" else rest

def until(what, holds):
    bound = time.monotonic() + 180
    while time.monotonic() < bound:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit(f"not within three minutes: {what}")

def info(port):
    return Redis(port).say("INFO", "replication")

first, second, sentinel = map(int, sys.argv[1:])
until("the replica follows", lambda: "master_link_status:up" in info(second) and "connected_slaves:1" in info(first))
until("Sentinel is there", lambda: Redis(sentinel).say("PING") == "PONG")
client, asks = Redis(first), Redis(sentinel)
# Until it has read the replica's INFO it answers NOGOODSLAVE.
until("Sentinel moves to the replica", lambda: asks.say("SENTINEL", "FAILOVER", "main") == "OK")
print("SENTINEL FAILOVER main: OK")
begun, named, taken = time.monotonic(), None, []
while time.monotonic() < begun + 60:
    number = str(len(taken))
    try:
        answer = client.say("SET", f"written:{number}", number)
    except OSError as error:
        answer = str(error) or "closed"
    if answer != "OK":
        break
    taken.append(time.monotonic() - begun)
    if named is None and asks.say("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main")[1] == str(second):
        named = time.monotonic() - begun
    time.sleep(0.05)
print(f"The old primary answered OK {len(taken)} times, the last time after {taken[-1]:.1f} s, and then: {answer}")
if named is None:
    sys.exit("CHANGED: nothing was written after Sentinel named the new primary")
print(f"Sentinel named the new primary after {named:.1f} s.")
until("the old primary follows", lambda: "role:slave" in info(first) and "master_link_status:up" in info(first))
both = Redis(first), Redis(second)
lost = [
    number
    for number, at in enumerate(taken)
    if at > named and not any(each.say("GET", f"written:{number}") for each in both)
]
if not lost:
    sys.exit("CHANGED: every write that was answered OK after that is there")
print(f"Of these writes {len(lost)} were answered OK after that, and are on neither server.")
EOF
