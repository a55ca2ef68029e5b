"""`Cipher`: what is encrypted at rest (webhook secrets, addresses, digest contents), under keys that can be rotated."""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from notifier.errors import ConfigurationError, Problem
from notifier.settings import split_list

VARIABLE = "NOTIFIER_SECRET_KEY"
#: Separates these keys from others derived from the same secret (signed links); changing it makes all data unreadable.
_PURPOSE = b"notifier storage 1"


class Cipher:
    """Encrypts with the first entry of NOTIFIER_SECRET_KEY and decrypts with any of them."""

    def __init__(self, secret_key: str) -> None:
        keys = [_fernet(entry) for entry in split_list(secret_key)]
        self._keys = MultiFernet(keys) if keys else None

    @property
    def ready(self) -> bool:
        """Whether there is a key to encrypt with."""
        return self._keys is not None

    def encrypt(self, value: Any) -> str:
        """A JSON value as an opaque text."""
        return self._require().encrypt(json.dumps(value, separators=(",", ":")).encode()).decode("ascii")

    def decrypt(self, text: str) -> Any:
        """The value `encrypt` was given. Raises `ConfigurationError` when its key was taken away."""
        try:
            return json.loads(self._require().decrypt(text))
        except InvalidToken as error:
            what = "none of its keys decrypts data that is stored"
            fix = "put the key that was used before behind the new one, separated by a comma"
            raise ConfigurationError([Problem(VARIABLE, what, fix)]) from error

    def _require(self) -> MultiFernet:
        if self._keys is None:
            what = "is empty, so webhook secrets, recipients and digests cannot be kept encrypted"
            raise ConfigurationError([Problem(VARIABLE, what, "set it to the output of: openssl rand -base64 32")])
        return self._keys


def _fernet(entry: str) -> Fernet:
    # A random secret needs no slow hash; HKDF gives 32 bytes of it for one purpose.
    derived = HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(entry.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
