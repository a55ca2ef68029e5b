"""A Redis with people and deliveries to them, for the curves of forgetting and importing."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.domain.recipient import Recipient
from notifier.domain.rule import Channel
from notifier.environment import read_settings
from notifier.settings import Settings
from notifier.storage.ledger import ClaimRequest
from notifier.storage.store import Store
from notifier.wiring.stores import build_ledger, build_recipients, build_store
from tests.servers.redis import RedisServer

SECRET_KEY = "a-secret-key-for-benches-of-more-than-32-characters"
#: Stored or claimed together.
_TOGETHER = 200


@contextmanager
def redis(folder: Path) -> Iterator[tuple[Settings, Store]]:
    """Started and stopped."""
    (folder / "redis").mkdir()
    server = RedisServer(folder / "redis", {"latency-tracking": "no"})
    settings = read_settings({"NOTIFIER_REDIS_URL": server.url, "NOTIFIER_SECRET_KEY": SECRET_KEY})
    store = build_store(settings)
    try:
        yield settings, store
    finally:
        store.close()
        server.close()


def store_people(settings: Settings, store: Store, count: int) -> None:
    """``user-0`` with ``p0@example.org`` and so on."""
    recipients = build_recipients(settings, store)
    for start in range(0, count, _TOGETHER):
        numbers = range(start, min(start + _TOGETHER, count))
        recipients.put([Recipient(f"user-{n}", f"p{n}@example.org", "Kim", "de", "Europe/Vienna") for n in numbers])


def deliver(settings: Settings, store: Store, person_keys: Sequence[str]) -> None:
    """A delivery to each, on its first try."""
    ledger, event = build_ledger(settings, store), Event(id="1", source="/shop", type="order.shipped")
    ledger.heartbeat("bench", 600)
    for start in range(0, len(person_keys), _TOGETHER):
        wanted = [
            ClaimRequest(_delivery(start + place), Channel.EMAIL, event, key)
            for place, key in enumerate(person_keys[start : start + _TOGETHER])
        ]
        ledger.claim(wanted, owner="bench", lease=600)


def _delivery(number: int) -> Delivery:
    to = Mailbox(address="somebody@example.org")
    return Delivery(id=f"dlv_{number:026d}", event=0, rule="order.shipped/news", to=to, queued=time.time())
