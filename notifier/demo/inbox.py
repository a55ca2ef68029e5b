"""An SMTP inbox: takes every mail and keeps it as a reader would see it."""

from __future__ import annotations

import email
import email.policy
import threading
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from notifier.demo.servers import free_port


@dataclass(frozen=True, slots=True)
class Mail:
    """One received mail, read back by the standard library."""

    delivery: str
    """The left side of its Message-ID, which is the delivery's id."""
    sender: str
    to: str
    subject: str
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]
    attachments: tuple[str, ...]


class Inbox:
    """A server on a free loopback port, in a thread of its own."""

    def __init__(self) -> None:
        self._mails: list[Mail] = []
        self._lock = threading.Lock()
        # Not port 0: aiosmtpd greets itself on the port it was given before it says that it runs.
        self._port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self._port, enable_SMTPUTF8=True)

    def start(self) -> int:
        """Listens from now on; returns the port."""
        self._controller.start()
        return self._port

    def stop(self) -> None:
        """Stops listening."""
        self._controller.stop()

    @property
    def mails(self) -> list[Mail]:
        """Everything received so far, oldest first."""
        with self._lock:
            return list(self._mails)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802, ARG002 - aiosmtpd's name
        """Aiosmtpd's hook for a whole mail."""
        mail = read_mail(envelope.content)
        with self._lock:
            self._mails.append(mail)
        return f"250 2.0.0 Ok: kept as number {len(self._mails)}"


def read_mail(content: bytes) -> Mail:
    """Parse a mail."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    return Mail(
        delivery=str(message["Message-ID"] or "").strip("<>").partition("@")[0],
        sender=str(message["From"] or ""),
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        text=_part(message, "plain"),
        html=_part(message, "html"),
        headers=tuple((name, str(value)) for name, value in message.items()),
        attachments=tuple(part.get_filename() or "unnamed" for part in message.iter_attachments()),
    )


def _part(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return str(part.get_content()) if part is not None else ""
