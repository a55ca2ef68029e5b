#!/bin/sh
# Sendmail 8.18.1 (Debian 13, sendmail-bin 8.18.1-6+b1), seen on 2026-11-30.
#
# As a relay it writes a From field of more than about 256 bytes anew, although the field is right and its lines are
# short: a long name in encoded words (56 Chinese characters, for instance) is dropped and only the address goes on; a
# long name in quotation marks gets a comma behind it, and so becomes an entry of its own beside the address, where RFC
# 5322 wants each entry to be a mailbox. Both times a DKIM signature, which always covers From, is no longer right. A
# shorter field is passed on byte for byte. RFC 5321 tells a relay to leave the header alone but for its own Received.
#
# Source: https://www.rfc-editor.org/rfc/rfc5321#section-3.6.3 ("MUST NOT"),
# https://www.rfc-editor.org/rfc/rfc5322#section-3.6.2 and #section-2.1.1 (998 octets a line),
# https://www.rfc-editor.org/rfc/rfc6376#section-5.4 (From is signed always)
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
mmdebstrap --quiet --variant=apt --include=sendmail-bin=8.18.1-6+b1,sendmail-cf=8.18.1-6,m4 trixie "$root" \
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main"
chroot "$root" dpkg-query -Wf '${Package} ${Version}\n' sendmail-bin
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=${PORT:-$(free)}
behind=${BEHIND:-$(free)}
cat >"$root/our.mc" <<EOF
define(\`_USE_ETC_MAIL_')dnl
include(\`/usr/share/sendmail/cf/m4/cf.m4')dnl
OSTYPE(\`debian')dnl
undefine(\`confHOST_STATUS_DIRECTORY')dnl
define(\`confDOMAIN_NAME', \`mail.test')dnl
define(\`confDONT_PROBE_INTERFACES', \`True')dnl
define(\`confSERVICE_SWITCH_FILE', \`/etc/mail/service.switch-nodns')dnl
define(\`confREFUSE_LA', \`1000')dnl
define(\`confQUEUE_LA', \`1000')dnl
define(\`RELAY_MAILER_ARGS', \`TCP \$h $behind')dnl
define(\`SMART_HOST', \`[127.0.0.1]')dnl
FEATURE(\`no_default_msa')dnl
FEATURE(\`access_db', \`hash -T<TMPF> /etc/access')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`nocanonify')dnl
DAEMON_OPTIONS(\`Family=inet, Name=MTA, Port=$port, Addr=127.0.0.1')dnl
MAILER(\`smtp')dnl
EOF
cat >"$root/serve" <<'EOF'
m4 /our.mc >/etc/mail/sendmail.cf
: >/etc/mail/local-host-names
printf 'Connect:127.0.0.1\tRELAY\n' | makemap -C /etc/mail/sendmail.cf hash /etc/access
mkdir -m 700 /queue
exec sendmail -bD -OQueueDirectory=/queue -OPidFile=/run/sendmail.pid
EOF
unshare --mount --pid --fork --kill-child=KILL sh -c '
    mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && chroot "$1" sh /serve; exit $?' sh "$root" \
    >"$folder/log" 2>&1 &
server=$!
python3 - "$port" "$behind" <<'EOF'
import queue
import smtplib
import socketserver
import sys
import threading
import time
from email.header import Header

class Behind(socketserver.StreamRequestHandler):
    """The server that Sendmail passes mails on to, which keeps what it gets."""

    def handle(self):
        self.wfile.write(b"220 behind.test\r\n")
        while line := self.rfile.readline():
            if line[:4].upper() == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                arrived.put(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
            self.wfile.write(b"221 bye\r\n" if line[:4].upper() == b"QUIT" else b"250 ok\r\n")

def connect(until):
    while time.monotonic() < until:
        try:
            return smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="client.example.org", timeout=60)
        except OSError:
            time.sleep(0.2)
    sys.exit("no server greets")

def passed_on(field):
    """What becomes of a From field."""
    rest = "To: r@example.net\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"
    talk.sendmail("s@example.org", "r@example.net", f"{field}\r\n{rest}\r\nHello\r\n")
    mail = arrived.get(timeout=120)
    start = mail.index("\r\nFrom:") + 2
    became = mail[start : mail.index("\r\nTo:")]
    print(f"\nsent, {len(field)} bytes:\n{field}\npassed on" + (" as it was" if became == field else f":\n{became}"))
    return became

arrived = queue.Queue()
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.daemon_threads = True
server = socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[2])), Behind)
threading.Thread(target=server.serve_forever, daemon=True).start()
talk = connect(time.monotonic() + 120)

def encoded(name):
    return f"From: {Header(name, 'utf-8', header_name='From').encode(linesep=chr(13) + chr(10))}{address}"

address = " <s@example.org>"
society = "北京市植物园与自然历史博物馆之友协会"
short, long = encoded(society), encoded("、".join([society] * 3))
title = "The Association of Friends of the Botanical Garden and of the Museum of Natural History"
quoted = f'From: "{title},\r\n {title},\r\n {title}"{address}'
if passed_on(short) != short:
    sys.exit("CHANGED: a short field is written anew too")
if passed_on(long) != f"From:{address}":
    sys.exit("CHANGED: something else becomes of a long name in encoded words")
if '",\r\n' not in passed_on(quoted):
    sys.exit("CHANGED: something else becomes of a long name in quotation marks")
print("\nA long name in encoded words was dropped, and a long name in quotation marks became an entry of its own.")
EOF
