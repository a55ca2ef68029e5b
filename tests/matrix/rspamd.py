"""``python -m tests.matrix.rspamd``: which symbols Debian's rspamd finds in mails that the service writes.

Without DNS, so nothing that is looked up counts. The first start compiles its expressions and takes minutes.
"""

import json
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

from notifier.channels.email.attachments import File
from notifier.channels.email.mime import Letter, write
from tests.servers.mail.letters import DOMAIN, SigningKey
from tests.servers.mail.machines import Layer
from tests.servers.ports import free_port

LAYER = Layer("rspamd", ("rspamd", "ca-certificates"))
_TEXT = "Hello Jo,\n\nyour order 4711 has been shipped today. You can follow it with the number below.\n\nThe shop\n"
_INVITATION = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Example//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@example.org\r\n"
    "DTSTAMP:20261130T080000Z\r\nDTSTART:20261201T080000Z\r\nDTEND:20261201T090000Z\r\nSUMMARY:Fitting\r\n"
    "ORGANIZER:mailto:shop@example.org\r\nATTENDEE:mailto:jo@example.net\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)
#: Seconds until it must have answered for the first time.
_PATIENCE_S = 300


def mails() -> dict[str, bytes]:
    """One of each kind, signed."""
    key = SigningKey()
    unsubscribe = f"https://{DOMAIN}/unsubscribe/abc"
    invitation = File("invite.ics", "text/calendar; method=REQUEST; charset=utf-8", _INVITATION.encode())
    letters = {
        "transactional": _letter("transactional", "Your order has been shipped"),
        "newsletter": _letter("newsletter", "News of November", unsubscribe=unsubscribe),
        "invitation": _letter("invitation", "Your appointment", files=(invitation,)),
    }
    return {name: key.sign(write(letter)) for name, letter in letters.items()}


def main() -> None:
    """Prints a Markdown table."""
    folder = Path(tempfile.mkdtemp(prefix="notifier-test-rspamd-"))
    try:
        folder.chmod(0o755)
        for name, mail in mails().items():
            (folder / f"{name}.eml").write_bytes(mail)
        printed = LAYER.run(["sh", "-c", _script(folder, free_port(), free_port())], folder)
    finally:
        shutil.rmtree(folder)
    version, *answers = printed.strip().splitlines()
    out = sys.stdout.write
    out(f"{version}\n\n| mail | score | symbols that count | others |\n|---|---|---|---|\n")
    for name, answer in zip(mails(), answers, strict=True):
        found = json.loads(answer)
        scored = {symbol: said["score"] for symbol, said in found["symbols"].items()}
        counted = ", ".join(f"{symbol} {score:.2f}" for symbol, score in sorted(scored.items()) if score)
        others = ", ".join(symbol for symbol, score in sorted(scored.items()) if not score)
        out(f"| {name} | {found['score']:.2f} of {found['required_score']:.0f} | {counted} | {others} |\n")


def _letter(name: str, subject: str, *, unsubscribe: str = "", files: tuple[File, ...] = ()) -> Letter:
    page = f"<!doctype html><html><head><title>{subject}</title></head><body><p>{_TEXT}</p></body></html>"
    return Letter(
        id=f"dlv_{name}",
        hostname=f"mail.{DOMAIN}",
        sender_name="Shop",
        sender=f"shop@{DOMAIN}",
        to_name="Jo",
        to="jo@example.net",
        subject=subject,
        text=_TEXT,
        html=page,
        date=time.time(),
        unsubscribe_url=unsubscribe,
        files=files,
    )


def _script(folder: Path, port: int, control: int) -> str:
    settings = {
        "options.inc": 'dns { nameserver = ["127.0.0.1:1:1"]; timeout = 0.1s; retransmits = 1; }',
        "worker-normal.inc": f'bind_socket = "127.0.0.1:{port}";',
        "worker-controller.inc": f'bind_socket = "127.0.0.1:{control}";',
        "worker-proxy.inc": "enabled = false;",
    }
    ask = f"rspamc --json --compact -t 20 -h 127.0.0.1:{port} symbols {folder}"
    return "; ".join(
        (
            "echo 127.0.0.1 localhost > /etc/hosts",
            "mkdir -p /run/rspamd /var/log/rspamd /etc/rspamd/local.d",
            "chown _rspamd /var/log/rspamd",
            *(f"echo {shlex.quote(text)} > /etc/rspamd/local.d/{name}" for name, text in settings.items()),
            (
                f"rspamd -f -u _rspamd -g _rspamd > {folder}/log 2>&1 &"
                f" for i in $(seq {_PATIENCE_S}); do {ask}/transactional.eml | grep -q score && break; sleep 1; done"
            ),
            "rspamd --version | head -1",
            *(f"{ask}/{name}.eml" for name in ("transactional", "newsletter", "invitation")),
        )
    )


if __name__ == "__main__":
    main()
