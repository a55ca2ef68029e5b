"""People known by id: kept encrypted, and what they switched off follows them to a new address."""

from dataclasses import replace

import pytest

from notifier.domain.recipient import Recipient
from notifier.errors import ConfigurationError
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Operation, command
from notifier.storage.recipients import Recipients
from notifier.storage.store import Store
from tests.integration.storage.making import raw_dump
from tests.servers.redis import RedisServer

#: That the index of addresses names everybody is said also when that is nobody.
EMPTY = "'ntf:addresses' 'whole'"
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
    # Then nothing is left of them
    assert not recipients.remove("customer-7")
    assert raw_dump(redis_server) == EMPTY


def test_recipients_without_a_key_are_refused(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="NOTIFIER_SECRET_KEY"):
        Recipients(store, Cipher("")).put([JANE])


def test_a_phone_and_other_addresses_are_kept_beside_and_the_release_before_reads_on(
    store: Store, redis_server: RedisServer
) -> None:
    # Given a person with a phone and an address of a provider's
    recipients = Recipients(store, cipher := Cipher("k" * 32))
    jane = replace(JANE, phone="+491701234567", addresses={"push": "ExponentPushToken[x]"})
    recipients.put([jane])

    # Then they are read back, and nobody else can read them
    assert recipients.get_many(["customer-7"]) == {"customer-7": jane}
    dump = raw_dump(redis_server)
    assert "1701234567" not in dump
    assert "Exponent" not in dump

    # And the first hash has the four fields that the release before reads
    (stored,) = store.run(_read(keys.recipients()))
    assert cipher.decrypt(stored) == [JANE.email, JANE.name, JANE.locale, JANE.timezone]

    # When they are taken back, or the person is removed
    recipients.put([JANE])
    assert recipients.get_many(["customer-7"]) == {"customer-7": JANE}
    recipients.put([jane])
    recipients.remove("customer-7")

    # Then nothing is left of them
    assert raw_dump(redis_server) == EMPTY


def test_a_person_may_have_a_phone_alone(store: Store) -> None:
    recipients = Recipients(store, Cipher("k" * 32))
    kim = Recipient("customer-8", phone="+491701234567")

    recipients.put([kim])
    recipients.put([replace(kim, email="kim@example.org")])
    recipients.put([kim])

    assert recipients.get_many(["customer-8"]) == {"customer-8": kim}


def _read(key: str) -> Operation[list[str]]:
    replies = yield [command("HVALS", key)]
    return [text for reply in replies for text in reply]
