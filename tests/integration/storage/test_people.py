"""People known by id: kept encrypted, and what they switched off follows them to a new address."""

import pytest

from notifier.domain.recipient import Recipient
from notifier.errors import ConfigurationError
from notifier.storage.cipher import Cipher
from notifier.storage.recipients import Recipients
from notifier.storage.store import Store
from tests.integration.storage.making import raw_dump
from tests.servers.redis import RedisServer

JANE = Recipient("customer-7", "jane@example.org", "Jane", "de", "Europe/Berlin")


def test_recipients_are_kept_encrypted_and_forgotten(store: Store, redis_server: RedisServer) -> None:
    # Given a person
    recipients = Recipients(store, Cipher("k" * 32))
    recipients.put([JANE])
    # Then they are read back, and nobody else can read them
    assert recipients.get_many(["customer-7", "customer-8"]) == {"customer-7": JANE}
    assert recipients.get_many([]) == {}
    assert "jane" not in raw_dump(redis_server).lower()
    # When they are removed
    assert recipients.remove("customer-7")
    # Then nothing is left
    assert not recipients.remove("customer-7")
    assert raw_dump(redis_server) == ""


def test_recipients_without_a_key_are_refused(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="NOTIFIER_SECRET_KEY"):
        Recipients(store, Cipher("")).put([JANE])
