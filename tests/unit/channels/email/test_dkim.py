"""DKIM signatures, verified by the library that others use to check them."""

import base64
from collections.abc import Callable
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.channels.email.alignment import aligned
from notifier.channels.email.dkim import DkimKeys, DkimSigner, read_keys
from notifier.channels.email.mime import write
from notifier.errors import SettingsError
from tests.unit.channels.email.test_mime import LETTER, TEXTS, letter, read

_PKCS8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
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


def test_what_matters_is_named_once_more_than_it_is_there(pem: str) -> None:
    # Given a mail that nobody can unsubscribe from
    signed = DkimSigner("example.org", "s1", pem).sign(write(LETTER))

    # Then what readers rely on is named twice, and the unsubscribe fields once, which forbids them
    fields = "".join(read(signed)["DKIM-Signature"].split()).partition(";h=")[2].partition(";")[0].split(":")
    twice = ("from", "to", "subject", "date", "message-id", "content-type")
    assert [fields.count(name) for name in twice] == [2] * 6
    assert (fields.count("list-unsubscribe"), fields.count("list-unsubscribe-post"), fields.count("cc")) == (1, 1, 0)


@pytest.mark.parametrize(
    "added",
    [b"Subject: Other", b"From: x@example.net", b"To: x@example.net", b"Date: Mon, 30 Nov 2026 00:00:00 +0000",
     b"List-Unsubscribe: <https://evil.example>", b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
     b"Content-Type: text/html", b"Message-ID: <x@example.net>"],
)  # fmt: skip
@pytest.mark.parametrize("url", ["", "https://example.org/unsubscribe/abc"])
def test_a_field_added_to_a_signed_mail_breaks_the_signature(pem: str, dns: Dns, added: bytes, url: str) -> None:
    signed = DkimSigner("example.org", "s1", pem).sign(write(letter(unsubscribe_url=url)))
    signature, _, rest = signed.partition(b"\r\nFrom:")
    assert dkim.verify(signed, dnsfunc=dns)
    assert not dkim.verify(added + b"\r\n" + signed, dnsfunc=dns)
    assert not dkim.verify(signature + b"\r\n" + added + b"\r\nFrom:" + rest, dnsfunc=dns)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, st.text(st.sampled_from(" \t\r\nab."), max_size=60))
def test_whatever_a_mail_says_it_verifies(pem: str, dns: Dns, subject: str, name: str, text: str) -> None:
    content = write(letter(subject=subject, to_name=name, text=text, html=""))
    signed = DkimSigner("example.org", "s1", pem).sign(content)
    assert dkim.verify(signed, dnsfunc=dns)
    assert signed.endswith(content)
    assert max(map(len, signed.partition(b"\r\nFrom:")[0].split(b"\r\n"))) <= 78


def test_a_refolded_field_verifies(pem: str, dns: Dns) -> None:
    signed = DkimSigner("example.org", "s1", pem).sign(write(LETTER))
    assert dkim.verify(signed.replace(b"Subject: Your order", b"Subject:  Your\r\n\torder "), dnsfunc=dns)


@pytest.mark.parametrize("change", [(b"Subject: Your", b"Subject: My"), (b"Hello", b"Hallo"), (b"abc>", b"abd>")])
def test_a_changed_mail_does_not_verify(pem: str, dns: Dns, change: tuple[bytes, bytes]) -> None:
    content = write(letter(unsubscribe_url="https://example.org/unsubscribe/abc"))
    signed = DkimSigner("example.org", "s1", pem).sign(content)
    assert not dkim.verify(signed.replace(*change), dnsfunc=dns)


def test_a_key_whose_line_ends_came_as_a_backslash_and_an_n_signs(pem: str, dns: Dns) -> None:
    # Given a key as platforms keep it that know no lines in a setting
    signer = DkimSigner("example.org", "s1", pem.replace("\n", "\\n"))
    assert dkim.verify(signer.sign(write(letter())), dnsfunc=dns)


def test_a_key_that_is_not_there_and_one_that_is_a_path_are_told_as_that() -> None:
    with pytest.raises(SettingsError, match=r"the key of example\.org is missing"):
        DkimSigner("example.org", "s1", "")
    with pytest.raises(SettingsError, match="NOTIFIER_DKIM_KEY_FILE"):
        DkimSigner("example.org", "s1", "/etc/notifier/dkim.pem")
    with pytest.raises(SettingsError, match="NOTIFIER_DKIM_SELECTOR: it is missing"):
        DkimSigner("example.org", "", "key")


@pytest.mark.parametrize(
    "key", ["not a key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "EC"]
)
def test_a_wrong_key_is_told_at_start_without_showing_it(key: str) -> None:
    if key == "EC":
        key = ed25519.Ed25519PrivateKey.generate().private_bytes(*_PKCS8).decode()
    with pytest.raises(SettingsError, match="NOTIFIER_DKIM_KEY: the key cannot sign") as refusal:
        DkimSigner("example.org", "s1", key)
    assert not key or "-----" not in str(refusal.value)


@pytest.mark.parametrize("kind", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_both_kinds_of_pem_are_read(private_key: rsa.RSAPrivateKey, kind: serialization.PrivateFormat) -> None:
    key = private_key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()).decode()
    assert DkimSigner("example.org", "s1", key).sign(write(LETTER)).startswith(b"DKIM-Signature: v=1; a=rsa-sha256")


@pytest.mark.parametrize(
    ("domain", "selector"),
    [("", "s1"), ("bücher.example", "s1"), ("example.org", ""), ("a b", "s1"), ("example.org;", "s1")],
)
def test_names_that_are_no_dns_names_are_told_at_start(domain: str, selector: str, pem: str) -> None:
    with pytest.raises(SettingsError, match="NOTIFIER_DKIM_"):
        DkimSigner(domain, selector, pem)


def test_an_unsigned_mail_is_as_it_was(pem: str) -> None:
    content = write(LETTER)
    assert DkimSigner("example.org", "s1", pem).sign(content).endswith(content)


def test_a_key_is_chosen_by_the_domain_of_from(pem: str) -> None:
    # Given keys of a domain, of one below it, and of another
    names = ("example.org", "news.example.org", "other.example")
    keys = DkimKeys([DkimSigner(name, "s1", pem) for name in names], "example.org")

    # Then the closest one signs, and the default for what has none
    for domain, signer in {
        "example.org": "example.org",
        "News.example.org": "news.example.org",
        "a.news.example.org": "news.example.org",
        "shop.example.org": "example.org",
        "other.example": "other.example",
        "third.example": "example.org",
    }.items():
        assert keys.signer(domain).domain == signer


def test_without_a_key_of_the_default_sender_the_first_one_signs(pem: str) -> None:
    keys = DkimKeys([DkimSigner("mail.example.org", "s1", pem)], "unknown.example")
    assert keys.signer("unknown.example").domain == "mail.example.org"
    assert keys.signer("example.org").domain == "mail.example.org"


@pytest.mark.parametrize(
    ("sender", "signer", "expected"),
    [
        ("example.org", "example.org", True),
        ("Example.ORG", "example.org", True),
        ("mail.example.org", "example.org", True),
        ("example.org", "mail.example.org", True),
        ("news.example.org", "mail.example.org", True),
        ("other.example", "example.com", False),
        ("notexample.org", "example.org", False),
        ("example.org.evil.example", "example.org", False),
        ("shop.co.uk", "other.co.uk", False),
        ("a.shop.co.uk", "b.shop.co.uk", True),
        ("mail.orf.at", "news.orf.at", True),
        ("localhost.localdomain", "example.org", False),
    ],
)
def test_alignment_is_one_organisation(sender: str, signer: str, expected: bool) -> None:
    assert aligned(sender, signer) is expected


def test_a_folder_of_keys_is_read_by_the_names_of_their_records(pem: str, tmp_path: Path) -> None:
    for name in ("s1._domainkey.example.org.pem", "mail.2026._domainkey.other.example.pem"):
        (tmp_path / name).write_text(pem)
    assert {signer.domain for signer in read_keys(tmp_path)} == {"example.org", "other.example"}


def test_every_mistake_in_a_folder_of_keys_is_told_at_start(pem: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no key"):
        read_keys(tmp_path)
    (tmp_path / "example.org.pem").write_text(pem)
    (tmp_path / "s1._domainkey.example.org.pem").write_text("no key")
    (tmp_path / "s1._domainkey.other.example.pem").write_text(pem)
    (tmp_path / "s2._domainkey.other.example.pem").write_text(pem)
    with pytest.raises(SettingsError) as refusal:
        read_keys(tmp_path)
    told = str(refusal.value)
    assert "'example.org.pem' does not say of what it is the key" in told
    assert "s1._domainkey.example.org.pem: the key cannot sign" in told
    assert "two keys for other.example" in told
    with pytest.raises(SettingsError, match="cannot read"):
        read_keys(tmp_path / "none")
