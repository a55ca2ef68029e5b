"""Our signatures are valid to npm's mailauth, also on mails that were changed as relays may, and on no others."""

import base64

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from notifier.channels.email.attachments import File
from notifier.channels.email.dkim import DkimSigner
from notifier.channels.email.extra import Extra
from notifier.channels.email.lists import ListFields
from notifier.channels.email.mime import write
from tests.acceptance.foreign.runner import verify_dkim_with_javascript
from tests.unit.channels.email.test_mime import letter

PEOPLE = (("Jörg, Süd", "j@example.net"), ("", "k@example.net"))
EVERYTHING = letter(
    subject="Ihre Bestellung № 5 ist unterwegs 🎉 " * 4,
    text="Grüße\n.\n\n  two  spaces\tand a tab \n\n\n",
    unsubscribe_url="https://example.org/unsubscribe/abc",
    files=(
        File("logo.png", "image/png", b"PNG", "logo"),
        File("invite.ics", "text/calendar; method=REQUEST; charset=utf-8", b"BEGIN:VCALENDAR"),
        File("empty.log", "text/plain", b""),
    ),
    extra=Extra(PEOPLE, PEOPLE, "<thr_a@example.org>", (("X-Tag", "é" * 100),)),
    lists=ListFields("orders", "example.org", "order.shipped/one", "acme"),
)


def test_what_we_sign_is_valid_to_the_javascript_library_and_what_others_change_is_not() -> None:
    # Given signed mails
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    records = {"s1._domainkey.example.org": "v=DKIM1; k=rsa; p=" + base64.b64encode(public).decode()}
    signer = DkimSigner("example.org", "s1", pem)
    plain, full, empty = (signer.sign(write(one)) for one in (letter(), EVERYTHING, letter(text="", html="")))
    other = signer.sign(write(letter(sender="shop@other.example")))

    # And changes: a relay's own fields and folding, and what nobody may add or change
    allowed = b"Received: from a by b\r\n" + plain.replace(b"Subject: Your", b"Subject:\r\n Your")
    added = b"Subject: Other\r\n" + plain
    unsubscribe = b"List-Unsubscribe: <https://evil.example>\r\n" + plain
    changed = plain.replace(b"Hello", b"Hallo")

    # When they are verified
    mails = [plain, full, empty, allowed, other, added, unsubscribe, changed]
    found = [[result, aligned] for [[_, result, aligned]] in verify_dkim_with_javascript(mails, records)]

    # Then
    assert found[:4] == [["pass", "example.org"]] * 4
    assert found[4] == ["pass", False]
    assert [result for result, _ in found[5:]] == ["fail", "fail", "neutral"]
