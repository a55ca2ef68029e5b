"""On a Cluster no family of keys lies in one slot, and what belongs together is found together."""

from collections import Counter

from notifier.domain.ids import recipient_key
from notifier.domain.recipient import Recipient
from notifier.domain.rule import Throttle, Window
from notifier.domain.suppression import bounced
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.connection import connect
from notifier.storage.digests import Digests, lease
from notifier.storage.endpoints import Endpoints
from notifier.storage.ledger import Ledger
from notifier.storage.recipients import Recipients
from notifier.storage.slot_map import slot_of
from notifier.storage.suppressions import Suppressions
from notifier.storage.throttles import Question, Throttles
from tests.integration.storage.making import claim, delivery, event, fail, item, request
from tests.servers.redis_cluster import RedisCluster

CIPHER = Cipher("k" * 32)
PEOPLE, NOW = 200, 1_800_000_000.0
SOON = Window(after_first=60)


def test_every_family_lies_on_all_nodes(redis_cluster: RedisCluster) -> None:
    # Given people and tenants with something of every family
    redis_cluster.flush()
    store = connect(redis_cluster.url)
    addresses = [f"p{number}@example.org" for number in range(PEOPLE)]
    Recipients(store, CIPHER).put([Recipient(f"user-{n}", one) for n, one in enumerate(addresses)])
    for number, one in enumerate(addresses):
        Suppressions(store).add(recipient_key(one), bounced("smtp_550", 1.0))
        Endpoints(store, CIPHER).add(f"tenant-{number}", "https://example.org/hook")
    Digests(store, CIPHER).collect([item(n, SOON, one) for n, one in enumerate(addresses)], NOW)
    Throttles(store).admit([Question(delivery(event(), one), Throttle(at_most=1, per=60)) for one in addresses])
    claim(Ledger(store), request())

    # Then no slot has a tenth of a family, and the nodes have about as much of it
    names = [name for client in store.clients() for name in client.scan_iter(count=1000)]
    for family in ("recipients", "suppressions", "endpoints", "digests:i", "digests:due", "t:"):
        slots = Counter(slot_of(name) for name in names if name.partition("}")[2].startswith(family))
        assert len(slots) >= 60, family
        assert max(slots.values()) < sum(slots.values()) / 10, family
    for client in store.clients():
        client.close()
    store.close()


def test_sweeps_take_as_many_windows_as_they_ask_for_from_all_slots(redis_cluster: RedisCluster) -> None:
    # Given windows of many people that are due
    redis_cluster.flush()
    store = connect(redis_cluster.url)
    digests = Digests(store, CIPHER)
    digests.collect([item(number, SOON, f"p{number}@example.org") for number in range(PEOPLE)], NOW)
    assert digests.count() == PEOPLE
    assert digests.take(NOW + 59, lease(NOW + 59)) == []

    # When they are taken thirty at a time, and the first reply is lost
    until = lease(NOW + 60)
    first = digests.take(NOW + 60, until, 30)
    assert len(first) == 30
    assert digests.take(NOW + 60, until, 30) == first
    taken = list(first)
    while more := digests.take(NOW + 60, lease(NOW + 60), 30):
        assert len(more) <= 30
        taken += more

    # Then each is taken once, has what was collected, and leaves nothing
    assert len(taken) == len(set(taken)) == PEOPLE
    assert len(digests.close(taken, NOW + 60, fail)) == PEOPLE
    digests.forget(taken)
    assert digests.count() == 0
    store.close()


def test_an_endpoint_is_where_its_tenant_is(redis_cluster: RedisCluster) -> None:
    redis_cluster.flush()
    store = connect(redis_cluster.url)
    for number in range(20):
        added = Endpoints(store, CIPHER).add(f"tenant-{number}", "https://example.org/hook")
        tag = store.spread.tag(f"tenant-{number}")
        assert store.spread.tag(added.id) == tag
        assert slot_of(keys.endpoints(tag)) == slot_of(keys.endpoints_of(f"tenant-{number}", tag))
    store.close()
