"""What an event costs in Redis: the figure in `notifier.storage.records` and in the sizing page."""

from notifier.domain.delivery import Status
from notifier.storage import keys
from notifier.storage.ledger import Ledger, Record, Registration
from notifier.storage.store import Store
from tests.integration.storage.making import RULE, attempt, claim, delivery, event, request


def test_an_event_with_one_sent_delivery_costs_at_most_600_bytes(ledger: Ledger, store: Store) -> None:
    # Given an event of usual size (a UUID as id, ids and names of usual length) that was sent to somebody
    usual = event(id="0192f0c1-7c1e-7d3a-9b2a-000000004999", source="/shop/orders")
    made = delivery(usual)
    ledger.register([Registration(usual, ((made, RULE),))])
    ledger.planned([usual.key])
    wanted = request(usual)
    held = claim(ledger, wanted)
    ledger.record([Record(made.id, held.fence, Status.SENT, "", attempt(), template="a1b2c3d4e5f6", claimed=wanted)])
    # Then all its keys together stay small, the person's index included
    assert wanted.recipient_key
    names = [str(name) for name in store.client.scan_iter() if "alive" not in str(name)]
    assert {keys.delivery(made.id), keys.event(usual.key)} < set(names)
    assert len(names) == 3
    assert sum(int(store.client.memory_usage(name) or 0) for name in names) <= 600
