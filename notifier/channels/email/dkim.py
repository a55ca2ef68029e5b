"""DKIM signatures (RFC 6376): rsa-sha256, relaxed/relaxed, so that relays may refold what they pass on.

Written here with `cryptography`, whose RSA takes 1 ms where that of dkimpy, in Python, takes 11 and the worker with it;
dkimpy and npm's mailauth verify what it writes, in tests.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from notifier.channels.email.alignment import aligned
from notifier.errors import Problem, SettingsError

#: Named once more than they are there, also where they are not: nobody can add one to a signed mail and send it on
#: (RFC 6376 §5.4.2 and §8.15). RFC 8058 §4 demands that both List-Unsubscribe fields are signed.
OVERSIGNED = ("from", "to", "subject", "date", "list-unsubscribe", "list-unsubscribe-post")
#: Named once more than they are there, when they are.
OVERSIGNED_IF_PRESENT = (
    *("cc", "reply-to", "message-id", "in-reply-to", "references", "mime-version", "content-type"),
    *("content-transfer-encoding", "auto-submitted", "list-id", "feedback-id"),
)
#: RFC 8301 §3.2: shorter keys must not be used, and receivers take their signatures for none.
LEAST_BITS = 1024
#: Of a file in the folder of keys: the name of the DNS record that publishes the key, and the ending.
_FILE = re.compile(r"(?P<selector>[A-Za-z0-9.-]+)\._domainkey\.(?P<domain>[A-Za-z0-9.-]+)\.pem")
_FOLDED = re.compile(rb"\r\n(?=[ \t])")
_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_BLANKS = re.compile(rb"[ \t]+")
_BLANKS_AT_END = re.compile(rb"[ \t]+\r\n")
_FIX_KEY = "give an RSA private key in PEM, with its BEGIN and END lines, or its file in NOTIFIER_DKIM_KEY_FILE"
#: Characters of base64 on one line of the field.
_LINE = 70


class DkimSigner:
    """Signs with one key, read once."""

    def __init__(self, domain: str, selector: str, key: str, *, where: str = "NOTIFIER_DKIM_KEY") -> None:
        """``key`` is an RSA private key in PEM, from ``where``. Raises `SettingsError` when something is wrong."""
        self.domain = _dns_name("NOTIFIER_DKIM_DOMAIN", domain)
        selector = _dns_name("NOTIFIER_DKIM_SELECTOR", selector)
        if not key:
            raise SettingsError([Problem(where, f"the key of {domain} is missing", _FIX_KEY)])
        self._key = _read_key(key, where)
        self._start = f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n d={self.domain}; s={selector};\r\n t="

    def sign(self, content: bytes, clock: Callable[[], float] = time.time) -> bytes:
        """The mail with its DKIM-Signature field before it."""
        head, _, body = content.partition(b"\r\n\r\n")
        fields = {name: line for line in _FIELD_END.split(head) for name in [line.partition(b":")[0].lower()]}
        signed = [name for name in OVERSIGNED if name.encode() in fields]
        signed += [name for name in OVERSIGNED_IF_PRESENT if name.encode() in fields]
        names = _folded([*signed, *OVERSIGNED, *(name for name in OVERSIGNED_IF_PRESENT if name in signed)])
        unsigned = f"{self._start}{int(clock())};\r\n h={names};\r\n bh={_body_hash(body)};\r\n b=".encode()
        data = b"".join([_canonical(fields[name.encode()]) + b"\r\n" for name in signed]) + _canonical(unsigned)
        signature = base64.b64encode(self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())).decode()
        lines = "\r\n ".join(signature[place : place + _LINE] for place in range(0, len(signature), _LINE))
        return b"%b%b\r\n%b" % (unsigned, lines.encode(), content)


class DkimKeys:
    """The keys of all domains that mails come from: whose signature counts is decided by the domain of From."""

    def __init__(self, signers: Iterable[DkimSigner], default: str) -> None:
        """``default`` is the domain mails come from when a rule says nothing; the first signer stands in for it."""
        self._signers = tuple(signers)
        self._default = _closest(default, self._signers) or self._signers[0]
        self._found: dict[str, DkimSigner] = {}

    def signer(self, domain: str) -> DkimSigner:
        """The key of the domain, else of the closest one above, else of one of the same organisation.

        A From without any is signed all the same, for the default domain: DMARC does not count it, but receivers that
        want any valid signature do (Gmail refuses mails that have none, 5.7.26).
        """
        if (found := self._found.get(domain)) is None:
            found = self._found[domain] = _closest(domain, self._signers) or self._default
        return found


def _closest(domain: str, signers: Iterable[DkimSigner]) -> DkimSigner | None:
    domain = domain.lower()
    usable = [signer for signer in signers if aligned(domain, signer.domain)]
    above = [one for one in usable if domain == one.domain or domain.endswith(f".{one.domain}")]
    return max(above or usable, key=lambda one: len(one.domain), default=None)


def read_keys(folder: Path) -> list[DkimSigner]:
    """One signer for each ``SELECTOR._domainkey.DOMAIN.pem``. Raises `SettingsError` with every mistake."""
    fix = "name each file like the DNS record of its key, with .pem: s1._domainkey.example.org.pem"
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except OSError as error:
        raise SettingsError([Problem("NOTIFIER_DKIM_KEYS", f"cannot read {folder}: {error.strerror}")]) from error
    signers: dict[str, DkimSigner] = {}
    problems = [] if files else [Problem("NOTIFIER_DKIM_KEYS", f"{folder} holds no key", fix)]
    for file in files:
        named = _FILE.fullmatch(file.name)
        if named is None:
            problems.append(Problem("NOTIFIER_DKIM_KEYS", f"{file.name!r} does not say of what it is the key", fix))
        elif named["domain"].lower() in signers:
            what = f"two keys for {named['domain']}, and a mail is signed with one"
            problems.append(Problem("NOTIFIER_DKIM_KEYS", what, "move the one that is not used any more out"))
        else:
            try:
                text = file.read_text("ascii")
                signers[named["domain"].lower()] = DkimSigner(named["domain"], named["selector"], text, where=str(file))
            except (OSError, UnicodeDecodeError) as error:
                problems.append(Problem("NOTIFIER_DKIM_KEYS", f"cannot read {file}: {error}"))
            except SettingsError as error:
                problems += error.problems
    if problems:
        raise SettingsError(problems)
    return list(signers.values())


def _canonical(field: bytes) -> bytes:
    """RFC 6376 §3.4.2, without the line end."""
    name, _, value = field.partition(b":")
    return name.lower().rstrip() + b":" + _BLANKS.sub(b" ", _FOLDED.sub(b"", value)).strip()


def _body_hash(body: bytes) -> str:
    """RFC 6376 §3.4.4. Most bodies have no tabs and no runs of spaces; a search is a tenth of a replacement."""
    if b"\t" in body or b" \r\n" in body:
        body = _BLANKS_AT_END.sub(b"\r\n", body)
    if b"\t" in body or b"  " in body:
        body = _BLANKS.sub(b" ", body)
    end = len(body)
    while body.endswith(b"\r\n\r\n", 0, end):
        end -= 2
    body = b"" if body[:end] == b"\r\n" else body[:end]
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def _folded(names: list[str]) -> str:
    lines, line = [], names[0]
    for name in names[1:]:
        if len(line) + len(name) + 1 > _LINE:
            lines.append(line + ":")
            line = name
        else:
            line += ":" + name
    return "\r\n ".join([*lines, line])


def _read_key(key: str, where: str) -> rsa.RSAPrivateKey:
    fix = _FIX_KEY
    try:
        # Platforms that know no lines in a setting keep them as a backslash and an n.
        read = load_pem_private_key(key.replace("\\n", "\n").encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SettingsError(
            [Problem(where, "the key cannot sign: it is no private key in PEM, or encrypted", fix)]
        ) from error
    if not isinstance(read, rsa.RSAPrivateKey):
        what = "the key cannot sign: it is no RSA key, and several large receivers read no others"
        raise SettingsError([Problem(where, what, fix)])
    if read.key_size < LEAST_BITS:
        raise SettingsError([Problem(where, f"the key has {read.key_size} bits, receivers want 2048", fix)])
    return read


def _dns_name(variable: str, value: str) -> str:
    if not value:
        fix = "set domain, selector and key; the key is published at SELECTOR._domainkey.DOMAIN"
        raise SettingsError([Problem(variable, "it is missing", fix)])
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", value):
        raise SettingsError([Problem(variable, f"{value!r} is not a DNS name", "international names go as xn--…")])
    return value.lower()
