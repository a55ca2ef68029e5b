"""Recipients and suppressions."""

import pytest

from notifier.domain.recipient import Recipient
from notifier.errors import ConfigurationError
from notifier.storage.cipher import Cipher
from notifier.storage.recipients import Recipients
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppression, Suppressions
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


def test_the_first_reason_of_a_suppression_stays(store: Store) -> None:
    # Given a suppressed address
    suppressions = Suppressions(store)
    assert suppressions.add("rcp_a", "bounced", 1_800_000_000.0)
    # When it is suppressed again
    assert not suppressions.add("rcp_a", "complained", 1_800_000_001.0)
    # Then the first reason and time stay, until it is removed
    assert suppressions.get("rcp_a") == Suppression("rcp_a", "bounced", 1_800_000_000.0)
    assert suppressions.remove("rcp_a")
    assert not suppressions.remove("rcp_a")
    assert suppressions.get("rcp_a") is None


def test_a_suppression_without_a_reason_still_suppresses(store: Store) -> None:
    suppressions = Suppressions(store)
    suppressions.add("rcp_a", "", 1.0)
    assert (found := suppressions.get("rcp_a"))
    assert found.reason == "suppressed"


def test_all_suppressions_are_listed_page_by_page(store: Store) -> None:
    # Given a thousand suppressed addresses
    suppressions = Suppressions(store)
    expected = {f"rcp_{i}" for i in range(1000)}
    for key in sorted(expected):
        suppressions.add(key, "bounced", 1.0)
    # When all pages are read
    found: set[str] = set()
    cursor, first = "", True
    while cursor or first:
        page = suppressions.list(100, cursor)
        found |= {entry.recipient_key for entry in page.entries}
        cursor, first = page.cursor, False
    # Then each is there
    assert found == expected
    assert suppressions.count() == 1000
