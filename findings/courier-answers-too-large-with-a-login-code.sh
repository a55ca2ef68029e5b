#!/bin/sh
# Courier 1.4.1 (Debian 13, courier-mta 1.4.1-3+deb13u2), seen on 2026-11-30.
#
# With 100000 in its file `sizelimit` the EHLO offers "SIZE" without a number, so nobody can know before MAIL what is
# too large; RFC 1870 gives the number for that and lets it be left out by servers without a fixed bound. A MAIL whose
# SIZE= is above the bound is then answered "534 SIZE=Message too big.", without an enhanced code. RFC 1870 has 552 for
# it; 534 is a login's: RFC 4954 has it for "Authentication mechanism is too weak". A client that goes by codes takes
# one large mail for a login that is refused, and holds back all others.
#
# Source: https://www.rfc-editor.org/rfc/rfc1870#section-4 (the number), #section-6.1 (552),
# https://www.rfc-editor.org/rfc/rfc4954#section-6 (534), and "sizelimit" in https://www.courier-mta.org/courier.html
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
mmdebstrap --quiet --variant=apt --include=courier-mta=1.4.1-3+deb13u2 trixie "$root" \
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main"
chroot "$root" dpkg-query -Wf '${Package} ${Version}\n' courier-mta
port=${PORT:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
etc=$root/etc/courier
echo 100000 >"$etc/sizelimit"
echo mail.test >"$etc/me"
echo BOFHCHECKDNS=0 >>"$etc/esmtpd"
mkdir -p "$etc/smtpaccess"
printf '127.0.0.1\tallow,RELAYCLIENT\n' >"$etc/smtpaccess/default"
cat >"$root/serve" <<EOF
mkdir -p /run/courier && chown courier:courier /run/courier
makesmtpaccess && makeacceptmailfor && makehosteddomains && makealiases
set -a
sysconfdir=/etc/courier
. /etc/courier/esmtpd
exec /usr/sbin/couriertcpd -nodnslookup -user=\$MAILUSER -group=\$MAILGROUP -address=127.0.0.1 \
    -access=\$ACCESSFILE.dat -maxprocs=\$MAXDAEMONS -maxperc=\$MAXPERC -maxperip=\$MAXPERIP $port /usr/sbin/courieresmtpd
EOF
unshare --mount --pid --fork --kill-child=KILL sh -c '
    mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && chroot "$1" sh /serve; exit $?' sh "$root" \
    >"$folder/log" 2>&1 &
server=$!
python3 - "$port" <<'EOF'
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

def say(command):
    code, text = talk.docmd(command)
    lines = [f"{code} {line}" for line in text.decode().splitlines()]
    print("\nS: ".join([f"C: {command}", *lines]))
    return lines

talk = connect(time.monotonic() + 120)
size = next((line[4:] for line in say("EHLO client.example.org") if line[4:].startswith("SIZE")), "no SIZE")
small = say("MAIL FROM:<s@example.org> SIZE=90000")[0]
assert small.startswith("250"), small
say("RSET")
large = say("MAIL FROM:<s@example.org> SIZE=140000")[0]
if size != "SIZE" or not large.startswith("534"):
    sys.exit(f"CHANGED: it offers {size!r} and answers {large!r}")
print("It offers SIZE without its bound of 100000, and answers SIZE=140000 with 534.")
EOF
