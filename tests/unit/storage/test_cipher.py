"""Encryption at rest and its rotation."""

from base64 import urlsafe_b64decode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.errors import ConfigurationError
from notifier.storage.cipher import Cipher

OLD, NEW = "o" * 32, "n" * 32


def test_what_was_encrypted_is_read_back_and_not_readable() -> None:
    # Given a value
    cipher = Cipher(OLD)
    # When it is encrypted
    text = cipher.encrypt({"url": "https://shop.example/hook"})
    # Then it can be read with the key only
    assert "shop.example" not in text
    assert cipher.decrypt(text) == {"url": "https://shop.example/hook"}


def test_a_new_key_in_front_still_reads_what_the_old_one_wrote() -> None:
    text = Cipher(OLD).encrypt("secret")
    assert Cipher(f"{NEW},{OLD}").decrypt(text) == "secret"
    assert Cipher(NEW).decrypt(Cipher(f"{NEW} {OLD}").encrypt("secret")) == "secret"


def test_a_key_that_was_taken_away_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"NOTIFIER_SECRET_KEY.*put the key that was used before"):
        Cipher(NEW).decrypt(Cipher(OLD).encrypt("secret"))


def test_nothing_is_stored_without_a_key() -> None:
    assert not Cipher("").ready
    with pytest.raises(ConfigurationError, match=r"NOTIFIER_SECRET_KEY: is empty.*openssl rand"):
        Cipher("").encrypt("secret")


@given(st.lists(st.recursive(st.text() | st.integers(), st.lists, max_leaves=5), max_size=20))
def test_many_at_once_are_tokens_that_the_library_reads(values: list[Any]) -> None:
    # Given values of any length, encrypted together
    texts = Cipher(OLD).encrypt_many(values)
    # Then each is read by itself, and none has the initialization vector of another
    assert [Cipher(OLD).decrypt(text) for text in texts] == values
    assert len({urlsafe_b64decode(text)[9:25] for text in texts}) == len(values)


def test_many_without_a_key_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="NOTIFIER_SECRET_KEY"):
        Cipher("").encrypt_many([1])
