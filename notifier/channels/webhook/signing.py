"""Standard Webhooks 1.0 signatures: HMAC-SHA256 over ``id.timestamp.body``, ``v1,<base64>``, one per secret.

Signed here in a few lines and not by the `standardwebhooks` library: that one forgets the time zone of an aware
datetime and so signs wrongly outside UTC (DESIGN §9.4). Tests compare the two.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hmac
from collections.abc import Sequence

from notifier.errors import InvalidDestination

PREFIX = "whsec_"
#: Standard Webhooks asks for 24 to 64 random bytes.
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64


def read_secret(secret: str) -> bytes:
    """The key bytes of a ``whsec_…`` secret.

    Raises `InvalidDestination` without quoting the secret: messages end in logs and failure queues.
    """
    if secret.startswith("v1,"):
        raise InvalidDestination("this webhook secret starts with 'v1,', as signatures do; it begins at 'whsec_'")
    if not secret.startswith(PREFIX):
        raise InvalidDestination("a webhook secret starts with 'whsec_' followed by base64; this one does not")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except ValueError as error:
        raise InvalidDestination(f"what follows 'whsec_' in this webhook secret is not base64: {error}") from error
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise InvalidDestination(
            f"this webhook secret has {len(key)} bytes; Standard Webhooks asks for {KEY_BYTES_MIN} to {KEY_BYTES_MAX}"
        )
    return key


def check_secrets(secrets: Sequence[str]) -> None:
    """Raises `InvalidDestination` when an endpoint's secrets cannot sign: at registration and before each send."""
    if not secrets:
        raise InvalidDestination("the endpoint has no secret to sign with; rotate its secret to give it one")
    for secret in secrets:
        _keyed(secret)


def sign(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``: one signature per secret, separated by spaces.

    ``timestamp`` is in unix seconds and an ``int`` on purpose: it is written into the signed bytes as it is sent.
    """
    if not secrets:
        raise ValueError("at least one secret must sign")
    if "." in message_id:
        raise ValueError(f"webhook-id {message_id!r} has a dot, which separates the signed parts")
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return " ".join([_signature(secret, signed) for secret in secrets])


def _signature(secret: str, signed: bytes) -> str:
    keyed = _keyed(secret).copy()
    keyed.update(signed)
    return "v1," + binascii.b2a_base64(keyed.digest(), newline=False).decode("ascii")


@functools.lru_cache(maxsize=4096)
def _keyed(secret: str) -> hmac.HMAC:
    """An HMAC that has its key and waits for bytes: decoding the secret and keying cost twice as much as signing."""
    return hmac.new(read_secret(secret), digestmod="sha256")
