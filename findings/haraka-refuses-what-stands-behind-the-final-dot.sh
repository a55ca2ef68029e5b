#!/bin/sh
# haraka 3.3.4 (npm), seen on 2026-11-30 with Node.js 20.20.2.
#
# It offers PIPELINING. RFC 2920 (section 3.1) lets a client that may pipeline send the commands of its next mail in one
# write with the final dot of a mail. Haraka takes the mail and answers each command behind the dot with
# "503 Bad sequence of commands", although said one after the other the same commands are right. A client that takes 503
# for an answer about the recipient gives up a mail that nobody has refused.
#
# Source: https://www.rfc-editor.org/rfc/rfc2920#section-3.1 and Haraka's CHANGELOG.md ("reject pipelining after DATA"),
# https://github.com/haraka/Haraka/blob/master/CHANGELOG.md
#
# Needs Node.js with npm, and Python 3. Ends with 0 while it is so.
set -eu
folder=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT
port=${PORT:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts --omit=optional haraka@3.3.4
node -p '"haraka " + require("haraka/package.json").version'
mkdir -p own/config own/plugins
echo "exports.hook_rcpt = (next) => next(OK); exports.hook_queue = (next) => next(OK);" >own/plugins/takes_all.js
echo takes_all >own/config/plugins
printf 'listen=127.0.0.1:%s\nnodes=0\n' "$port" >own/config/smtp.ini
echo mail.test >own/config/me
cp node_modules/haraka/config/connection.ini own/config/
echo CRIT >own/config/loglevel
node node_modules/haraka/bin/haraka -c own >log 2>&1 &
server=$!
python3 - "$port" <<'EOF'
import socket
import sys
import time

def open_connection(port, until):
    while True:
        try:
            talk = socket.create_connection(("127.0.0.1", port), timeout=20)
            lines = talk.makefile("rb")
            if lines.readline().startswith(b"220"):
                return talk, lines
        except OSError:
            pass
        if time.monotonic() > until:
            sys.exit("no server greets")
        time.sleep(0.2)

def reply():
    while line := lines.readline().decode().rstrip():
        print("S:", line)
        said.append(line)
        if line[3:4] != "-":
            return line
    sys.exit("the connection was closed")

def say(*texts):
    """In one write; as many replies."""
    for text in texts:
        print("C:", text.replace("\r\n", " / "))
    talk.sendall("".join(f"{text}\r\n" for text in texts).encode())
    return [reply() for _ in texts]

said = []
talk, lines = open_connection(int(sys.argv[1]), time.monotonic() + 240)
following = ("MAIL FROM:<s@example.org>", "RCPT TO:<r@example.net>", "DATA")
say("EHLO client.example.org")
if "250-PIPELINING" not in said:
    sys.exit("CHANGED: it does not offer PIPELINING")
say(*following)
taken, *behind = say("Subject: one\r\n\r\nHello\r\n.", *following)
assert taken.startswith("250"), taken
if any(not answer.startswith("503") for answer in behind):
    sys.exit("CHANGED: commands behind the final dot get another answer")
alone = [say(command)[0] for command in following]
assert [answer[:3] for answer in alone] == ["250", "250", "354"], alone
print("The mail was taken, and three right commands behind its dot were answered 503.")
EOF
