"""Mails as the service writes them, signed, for tests that look at what a server makes of them."""

import base64

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from notifier.channels.email.dkim import DkimSigner
from notifier.channels.email.mime import Letter, write

DOMAIN, SELECTOR = "example.org", "s1"
_TEXTS = ("Hello\n", ".\n..\n. a dot\n\n\n", "blanks at the end  \n\ttabs\t\n", "Grüße, 🎉\n" * 30, "x" * 5000 + "\n")
_SUBJECTS = ("Hello", "Ihre Bestellung № 5 ist unterwegs 🎉 " * 4, "a subject of many words " * 12)


def mails() -> list[bytes]:
    """One of each text and subject."""
    return [
        write(
            Letter(
                id=f"dlv_{number}{place}",
                hostname="mail.example.org",
                sender_name="Shop",
                sender=f"shop@{DOMAIN}",
                to_name="Jo",
                to="jo@example.net",
                subject=subject.strip(),
                text=text,
                html=f"<p>{text}</p>\n",
                date=1_700_000_000.0,
            )
        )
        for number, text in enumerate(_TEXTS)
        for place, subject in enumerate(_SUBJECTS)
    ]


MAILS = mails()


class SigningKey:
    """A key of its own, and the DNS record that publishes it."""

    def __init__(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._signer = DkimSigner(DOMAIN, SELECTOR, pem.decode())
        self.records = {f"{SELECTOR}._domainkey.{DOMAIN}": "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()}

    def sign(self, mail: bytes) -> bytes:
        """The mail with its signature."""
        return self._signer.sign(mail)

    def dns(self, name: bytes, timeout: int = 5) -> bytes:  # as dkimpy calls it
        """What dkimpy asks DNS for."""
        return self.records[name.decode().rstrip(".")].encode()


def body_of(mail: bytes) -> bytes:
    """What follows the header."""
    return mail.partition(b"\r\n\r\n")[2]
