"""DKIM signatures (RFC 6376) with dkimpy, which the extra ``dkim`` installs."""

from __future__ import annotations

from typing import Any

from notifier.errors import Problem, SettingsError

#: What is signed when it is there. RFC 8058 §4 demands both List-Unsubscribe fields.
SIGNED_FIELDS = (
    b"from",
    b"to",
    b"subject",
    b"date",
    b"message-id",
    b"mime-version",
    b"content-type",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
)


class DkimSigner:
    """Signs with one key, read once; relaxed/relaxed, so that relays may refold what they pass on."""

    def __init__(self, domain: str, selector: str, key: str) -> None:
        """``key`` is an RSA private key in PEM. Raises `SettingsError` when it or the extra is missing or wrong."""
        self._dkim = _library()
        self._domain = _ascii("NOTIFIER_DKIM_DOMAIN", domain)
        self._selector = _ascii("NOTIFIER_DKIM_SELECTOR", selector)
        self._key = key.encode()
        self._check_key()

    def sign(self, content: bytes) -> bytes:
        """The mail with its DKIM-Signature field before it."""
        present = {line.partition(b":")[0].lower() for line in content.partition(b"\r\n\r\n")[0].split(b"\r\n")}
        signature: bytes = self._dkim.sign(
            content,
            self._selector,
            self._domain,
            self._key,
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=[name for name in SIGNED_FIELDS if name in present],
        )
        return signature + content

    def _check_key(self) -> None:
        try:
            self.sign(b"From: a@example.org\r\n\r\n\r\n")
        except (self._dkim.DKIMException, ValueError, TypeError, IndexError) as error:
            fix = "give an RSA private key in PEM, with its BEGIN and END lines"
            raise SettingsError([Problem("NOTIFIER_DKIM_KEY", f"the key cannot sign: {error}", fix)]) from error


def _library() -> Any:
    try:
        import dkim  # noqa: PLC0415 - an extra: most installations lack it
    except ImportError as error:
        what = "signing needs the package dkimpy, which is not installed"
        raise SettingsError([Problem("NOTIFIER_DKIM_DOMAIN", what, "install notifier[dkim]")]) from error
    return dkim


def _ascii(variable: str, value: str) -> bytes:
    if not value or not value.isascii() or " " in value:
        raise SettingsError([Problem(variable, f"{value!r} is not a DNS name", "international names go as xn--…")])
    return value.encode()
