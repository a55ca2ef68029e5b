#!/bin/sh
# OpenSMTPD 7.6.0p1 (Debian 13, opensmtpd 7.6.0p1-1), seen on 2026-11-30.
#
# With `smtp limit max-mails N` it answers the MAIL after the N-th mail of a connection with "452 4.5.3 … Too many
# messages sent", and each one after it too: the connection stays open, answers NOOP and RSET with 250, and never takes
# a mail again. RFC 5321 has 452 for a lack of room and 421 for a server that ends a connection, and a 4yz code asks to
# come again later; whoever does that on its kept connection waits for ever, while a new connection takes the mail at
# once.
#
# Source: smtpd.conf(5), "smtp limit max-mails", https://man.openbsd.org/smtpd.conf.5 and
# https://www.rfc-editor.org/rfc/rfc5321#section-4.2.1 (4yz), #section-4.2.3 (421 and 452)
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
mmdebstrap --quiet --variant=apt --include=opensmtpd=7.6.0p1-1,ca-certificates trixie "$root" \
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main"
chroot "$root" dpkg-query -Wf '${Package} ${Version}\n' opensmtpd
port=${PORT:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
cat >"$root/etc/smtpd.conf" <<EOF
smtp limit max-mails 3
listen on 127.0.0.1 port $port hostname mail.test
action "keep" relay host smtp://127.0.0.1:9
match from any for any action "keep"
EOF
unshare --mount --pid --fork --kill-child=KILL sh -c '
    mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && chroot "$1" smtpd -d; exit $?' sh "$root" \
    >"$folder/log" 2>&1 &
server=$!
python3 - "$port" <<'EOF'
import smtplib
import sys
import time

def connect(until):
    while time.monotonic() < until:
        try:
            talk = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="client.example.org", timeout=20)
            talk.ehlo()
            return talk
        except OSError:
            time.sleep(0.2)
    sys.exit("no server greets")

def say(talk, command):
    code, text = talk.docmd(command)
    print(f"C: {command}\nS: {code} {text.decode()}")
    return f"{code} {text.decode()}"

MAIL = "MAIL FROM:<s@example.org>"
first = connect(time.monotonic() + 120)
for number in range(3):
    first.sendmail("s@example.org", "r@example.net", f"Subject: number {number}\r\n\r\nHello\r\n")
print("Three mails were taken.")
again = [say(first, command) for command in (MAIL, MAIL, "RSET", MAIL, "NOOP", MAIL)]
refused = [reply for reply in again if not reply.startswith("250")]
if len(refused) != 4 or not all(reply.startswith("452 4.5.3") for reply in refused):
    sys.exit("CHANGED: a connection that is used up ends otherwise")
if not say(connect(time.monotonic() + 20), MAIL).startswith("250"):
    sys.exit("CHANGED: a new connection does not take it either")
print("A used-up connection stayed open and answered MAIL with 452 four times; a new one took it.")
EOF
