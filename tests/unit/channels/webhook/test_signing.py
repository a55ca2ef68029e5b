"""Standard Webhooks signatures, held against the specification's vector and the official library."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from notifier.channels.webhook.signing import check_secrets, read_secret, sign
from notifier.errors import InvalidDestination
from notifier.storage.endpoints import new_secret

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TIMESTAMP = 1614265330


def test_the_specifications_known_answer_comes_out() -> None:
    signature = sign([SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", TIMESTAMP, b'{"test": 2432232314}')

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(
    key=st.binary(min_size=24, max_size=64),
    message_id=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    timestamp=st.integers(min_value=0, max_value=4_000_000_000),
    body=st.text().map(str.encode),
)
def test_signatures_equal_those_of_the_official_library(
    key: bytes, message_id: str, timestamp: int, body: bytes
) -> None:
    official = Webhook(key)

    expected = official.sign(message_id, datetime.fromtimestamp(timestamp, UTC), body.decode())

    assert sign([_encoded(key)], message_id, timestamp, body) == expected


@given(st.binary())
def test_any_bytes_can_be_signed(body: bytes) -> None:
    assert sign([SECRET], "dlv_a", TIMESTAMP, body).startswith("v1,")


def test_each_secret_signs_during_a_rotation_and_each_receiver_finds_its_own() -> None:
    # Given a receiver with the old secret and one with the new
    old, new = new_secret(), new_secret()
    now = int(datetime.now(UTC).timestamp())

    # When both secrets sign
    value = sign([new, old], "dlv_a", now, b"{}")

    # Then both receivers accept the one header
    headers = {"webhook-id": "dlv_a", "webhook-timestamp": str(now), "webhook-signature": value}
    assert Webhook(old).verify(b"{}", headers) == {}
    assert Webhook(new).verify(b"{}", headers) == {}
    assert len(value.split(" ")) == 2


def test_the_secrets_that_storage_makes_are_readable_random_and_long_enough() -> None:
    secrets = {new_secret() for _ in range(20)}

    assert len(secrets) == 20
    assert {len(read_secret(secret)) for secret in secrets} == {32}


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "as signatures do"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "starts with 'whsec_'"),
        ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "starts with 'whsec_'"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2 aLaSw", "not base64"),
        ("whsec_c2hvcnQ=", "has 5 bytes"),
        ("whsec_" + "A" * 88, "has 66 bytes"),
        ("whsec_ä", "not base64"),
        ("", "starts with 'whsec_'"),
    ],
)
def test_an_unusable_secret_is_refused_in_words_that_do_not_contain_it(secret: str, words: str) -> None:
    with pytest.raises(InvalidDestination, match=words) as refusal:
        read_secret(secret)

    body = secret.rpartition("_")[2]
    assert not body or body not in str(refusal.value)


def test_signing_without_a_secret_is_refused() -> None:
    with pytest.raises(InvalidDestination, match="rotate its secret"):
        check_secrets([])
    with pytest.raises(ValueError, match="at least one secret"):
        sign([], "dlv_a", TIMESTAMP, b"")


def test_an_id_with_a_dot_is_refused_because_it_would_move_the_signed_parts() -> None:
    with pytest.raises(ValueError, match="dot"):
        sign([SECRET], "dlv.a", TIMESTAMP, b"")


def _encoded(key: bytes) -> str:
    import base64

    return "whsec_" + base64.b64encode(key).decode()
