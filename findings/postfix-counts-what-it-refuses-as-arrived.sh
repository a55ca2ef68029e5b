#!/bin/sh
# Postfix 3.10.13 (Debian 13, postfix 3.10.13-0+deb13u1), seen on 2026-11-30.
#
# A mail that its own header_checks refuse counts as arrived, and never as delivered. `in_flow_delay`, which is there to
# slow a sender down whose mails come faster than they leave, therefore begins after a hundred refused mails
# (default_process_limit), with nothing in the queue: from then on each refused mail waits a second at its first RCPT,
# and so does the next mail that is taken, whoever sends it and on whatever connection; one that is taken and leaves
# makes room again. With `in_flow_delay = 0` nothing waits.
#
# Source: https://www.postfix.org/postconf.5.html#in_flow_delay ("when the message arrival rate exceeds the message
# delivery rate"), https://www.postfix.org/header_checks.5.html (REJECT),
# https://www.postfix.org/QSHAPE_README.html#incoming_queue
#
# Needs root on a Debian with mmdebstrap (it makes a small Debian 13 in a temporary folder), and Python 3.
# Takes about three minutes. Ends with 0 while it is so.
set -eu
folder=$(mktemp -d)
root=$folder/root
server=
stop() {
    if test -n "$server"; then
        kill -KILL $(cat "/proc/$server/task/$server/children") || true
        wait "$server" || true
    fi
    server=
}
end() {
    stop
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 1' HUP INT TERM
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)
mmdebstrap --quiet --variant=apt --include=postfix=3.10.13-0+deb13u1 trixie "$root" \
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main"
chroot "$root" dpkg-query -Wf '${Package} ${Version}\n' postfix
echo '/^Subject: refused/ REJECT' >"$root/etc/postfix/header_checks"
# Its processes in no chroot of their own.
sed -i "s/^\(.* unix\) *\([n-]\) *\([n-]\) *[y-] /\1 \2 \3 n /" "$root/etc/postfix/master.cf"
cp "$root/etc/postfix/master.cf" "$folder/services"

# seconds DELAY: starts Postfix with it; the seconds of each kind of mail as JSON in the file $folder/DELAY.
seconds() {
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    sed "s/^smtp  *inet .*/127.0.0.1:$port inet n - n - - smtpd/" "$folder/services" >"$root/etc/postfix/master.cf"
    cat >"$root/etc/postfix/main.cf" <<EOF
compatibility_level = 3.6
maillog_file = /var/log/mail.log
myhostname = mail.test
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_transport = discard:
relay_transport = discard:
alias_maps =
alias_database =
header_checks = regexp:/etc/postfix/header_checks
in_flow_delay = $1
EOF
    unshare --mount --pid --fork --kill-child=KILL sh -c '
        mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && chroot "$1" postfix start-fg; exit $?' \
        sh "$root" >>"$folder/log" 2>&1 &
    server=$!
    python3 - "$port" >"$folder/$1" <<'EOF'
import json
import smtplib
import sys
import time

def connect(until):
    while time.monotonic() < until:
        try:
            return smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="client.example.org", timeout=60)
        except OSError:
            time.sleep(0.2)
    sys.exit("no server greets")

def seconds(talk, subject, expected):
    """Of one mail, from its MAIL to the answer to its final dot."""
    begun = time.monotonic()
    talk.mail("s@example.org")
    talk.rcpt("r@example.net")
    code, text = talk.data(f"From: s@example.org\r\nSubject: {subject}\r\n\r\nHello\r\n")
    assert code == expected, (code, text)
    return time.monotonic() - begun

def refused(count):
    """Five on a connection: from the eleventh error on, smtpd itself would wait (smtpd_soft_error_limit)."""
    found = []
    for _ in range(count // 5):
        with connect(time.monotonic() + 60) as talk:
            found += [seconds(talk, "refused", 550) for _ in range(5)]
    return found

connect(time.monotonic() + 120).quit()
each = refused(115)
with connect(time.monotonic() + 60) as talk:
    taken = [seconds(talk, f"taken {number}", 250) for number in range(2)]
json.dump({"refused 91 to 95": each[90:95], "refused 111 to 115": each[110:], "taken then": taken}, sys.stdout)
EOF
    stop
}

seconds 1s
seconds 0s
python3 - "$folder" <<'EOF'
import json
import statistics
import sys
from pathlib import Path

delayed, free = (json.loads((Path(sys.argv[1]) / delay).read_text()) for delay in ("1s", "0s"))
for name, found in (("1s, the default", delayed), ("0s", free)):
    for mails, seconds in found.items():
        print(f"in_flow_delay = {name}: {mails}: {', '.join(f'{each:.3f}' for each in seconds)} s")
ratio = statistics.median(delayed["refused 111 to 115"]) / statistics.median(free["refused 111 to 115"])
behind = delayed["taken then"][0] / free["taken then"][0]
if min(ratio, behind) < 5:
    sys.exit(f"CHANGED: after 110 refused mails others wait only {ratio:.1f} and {behind:.1f} times as long")
print(f"Behind 110 refused mails a refused one took {ratio:.0f} times, one that was taken {behind:.0f} times as long.")
EOF
