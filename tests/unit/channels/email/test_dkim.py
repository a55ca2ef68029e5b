"""DKIM signatures, verified by the library that others use to check them."""

import base64
import sys
from collections.abc import Callable

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from notifier.channels.email.dkim import DkimSigner
from notifier.channels.email.mime import write
from notifier.errors import SettingsError
from tests.unit.channels.email.test_mime import LETTER, letter, read

Dns = Callable[..., bytes]


@pytest.fixture(scope="module")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def pem(private_key: rsa.RSAPrivateKey) -> str:
    return private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    ).decode()


@pytest.fixture(scope="module")
def dns(private_key: rsa.RSAPrivateKey) -> Dns:
    public = private_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    def txt(name: bytes, timeout: int = 5) -> bytes:
        assert name == b"s1._domainkey.example.org."
        return b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)

    return txt


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"subject": "Ihre Bestellung № 5 ist unterwegs 🎉 " * 4, "to_name": "Jörg"},
        {"text": "Grüße\n.\n\n\n", "html": ""},
        {"unsubscribe_url": "https://example.org/unsubscribe/abc"},
    ],
)
def test_a_signed_mail_verifies(pem: str, dns: Dns, changes: dict[str, object]) -> None:
    signed = DkimSigner("example.org", "s1", pem).sign(write(letter(**changes)))
    assert dkim.verify(signed, dnsfunc=dns)


def test_every_field_a_reader_relies_on_is_signed(pem: str, dns: Dns) -> None:
    content = write(letter(unsubscribe_url="https://example.org/unsubscribe/abc"))
    signed = DkimSigner("example.org", "s1", pem).sign(content)
    signature = "".join(read(signed)["DKIM-Signature"].split())
    fields = signature.partition(";h=")[2].partition(";")[0].split(":")
    assert {"from", "to", "subject", "date", "message-id", "mime-version", "content-type"} <= set(fields)
    assert {"list-unsubscribe", "list-unsubscribe-post"} <= set(fields)
    assert "c=relaxed/relaxed" in signature


@pytest.mark.parametrize("change", [(b"Subject: Your", b"Subject: My"), (b"Hello", b"Hallo"), (b"abc>", b"abd>")])
def test_a_changed_mail_does_not_verify(pem: str, dns: Dns, change: tuple[bytes, bytes]) -> None:
    content = write(letter(unsubscribe_url="https://example.org/unsubscribe/abc"))
    signed = DkimSigner("example.org", "s1", pem).sign(content)
    assert not dkim.verify(signed.replace(*change), dnsfunc=dns)


@pytest.mark.parametrize(
    "key", ["", "not a key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"]
)
def test_a_wrong_key_is_told_at_start_without_showing_it(key: str) -> None:
    with pytest.raises(SettingsError, match="NOTIFIER_DKIM_KEY"):
        DkimSigner("example.org", "s1", key)


def test_a_missing_extra_is_told_at_start(monkeypatch: pytest.MonkeyPatch, pem: str) -> None:
    monkeypatch.setitem(sys.modules, "dkim", None)
    with pytest.raises(SettingsError, match=r"notifier\[dkim\]"):
        DkimSigner("example.org", "s1", pem)


@pytest.mark.parametrize(("domain", "selector"), [("", "s1"), ("bücher.example", "s1"), ("example.org", "")])
def test_names_that_are_no_dns_names_are_told_at_start(domain: str, selector: str, pem: str) -> None:
    with pytest.raises(SettingsError, match="NOTIFIER_DKIM_"):
        DkimSigner(domain, selector, pem)


def test_an_unsigned_mail_is_as_it_was(pem: str) -> None:
    content = write(LETTER)
    assert DkimSigner("example.org", "s1", pem).sign(content).endswith(content)
