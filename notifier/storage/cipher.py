"""`Cipher`: what is encrypted at rest (webhook secrets, addresses, digest contents), under keys that can be rotated.

Also the keyed hashes that stand for addresses where they are looked up: without a key nobody can try addresses out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Sequence
from typing import Any

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from notifier.errors import ConfigurationError, Problem
from notifier.settings import split_list

VARIABLE = "NOTIFIER_SECRET_KEY"
#: Separates these keys from others derived from the same secret (signed links); changing it makes all data unreadable.
_PURPOSE = b"notifier storage 1"
#: The same of the keys that addresses are hashed with; changing it makes the index of addresses useless.
_HASHING = b"notifier address index 1"
#: Bytes of such a hash: 80 bits.
_HASH = 10
#: The first byte of a Fernet token, and the bytes of a block of AES.
_VERSION, _BLOCK = b"\x80", 16
#: Made once: `json.dumps` makes one for each text, which takes longer than the text.
_JSON = json.JSONEncoder(separators=(",", ":"))


class Cipher:
    """Encrypts with the first entry of NOTIFIER_SECRET_KEY and decrypts with any of them."""

    def __init__(self, secret_key: str) -> None:
        entries = [entry.encode() for entry in split_list(secret_key)]
        keys = [_derived(entry, _PURPOSE) for entry in entries]
        self._keys = MultiFernet([Fernet(base64.urlsafe_b64encode(key)) for key in keys]) if keys else None
        self._first = keys[0] if keys else b""
        self._hashing = [_derived(entry, _HASHING) for entry in entries]

    @property
    def ready(self) -> bool:
        """Whether there is a key to encrypt with."""
        return self._keys is not None

    @property
    def is_rotating(self) -> bool:
        """Whether something may be encrypted with another key than new things are."""
        return len(self._hashing) > 1

    def encrypt(self, value: Any) -> str:
        """A JSON value as an opaque text."""
        return self._require().encrypt(_json(value)).decode("ascii")

    def encrypt_many(self, values: Sequence[Any]) -> list[str]:
        """The same of many, in a fifth of the time: most of it is what a cipher costs to be set up."""
        self._require()
        return _tokens(self._first, [_fast_json(value) for value in values])

    def decrypt(self, text: str) -> Any:
        """The value `encrypt` was given. Raises `ConfigurationError` when its key was taken away."""
        try:
            return json.loads(self._require().decrypt(text))
        except InvalidToken as error:
            what = "none of its keys decrypts data that is stored"
            fix = "put the key that was used before behind the new one, separated by a comma"
            raise ConfigurationError([Problem(VARIABLE, what, fix)]) from error

    def hashes(self, text: str) -> list[str]:
        """20 hexadecimal digits for each key, that of the first first; what is written has that one."""
        data = text.encode("utf-8", "surrogatepass")
        return [hashlib.blake2b(data, key=key, digest_size=_HASH).hexdigest() for key in self._hashing]

    def _require(self) -> MultiFernet:
        if self._keys is None:
            what = "is empty, so webhook secrets, recipients and digests cannot be kept encrypted"
            raise ConfigurationError([Problem(VARIABLE, what, "set it to the output of: openssl rand -base64 32")])
        return self._keys


def _json(value: Any) -> bytes:
    return _JSON.encode(value).encode()


def _fast_json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError:
        return _json(value)  # half an emoji, which is a text in JSON and none in UTF-8


def _derived(entry: bytes, purpose: bytes) -> bytes:
    # A random secret needs no slow hash; HKDF gives 32 bytes of it for one purpose.
    return HKDF(SHA256(), 32, salt=None, info=purpose).derive(entry)


def _tokens(key: bytes, texts: Sequence[bytes]) -> list[str]:
    """Fernet tokens (https://github.com/fernet/spec/blob/master/Spec.md), all encrypted as one CBC stream.

    Before each text stands a block of random bytes. What that is encrypted to is as random and as unforeseeable, and is
    what the first block of the text is chained to: its initialization vector.
    """
    padded = [text + bytes([-len(text) % _BLOCK or _BLOCK]) * (-len(text) % _BLOCK or _BLOCK) for text in texts]
    noise = os.urandom(_BLOCK * (len(padded) + 1))
    stream = b"".join([part for i, text in enumerate(padded) for part in (noise[_BLOCK * i :][:_BLOCK], text)])
    sealed = BlockCipher(algorithms.AES(key[16:]), modes.CBC(noise[-_BLOCK:])).encryptor().update(stream)
    head, signing = _VERSION + int(time.time()).to_bytes(8, "big"), hmac.new(key[:16], digestmod="sha256")
    tokens, start = [], 0
    for text in padded:
        end = start + _BLOCK + len(text)
        body, signed = head + sealed[start:end], signing.copy()
        signed.update(body)
        tokens.append(base64.urlsafe_b64encode(body + signed.digest()).decode("ascii"))
        start = end
    return tokens
