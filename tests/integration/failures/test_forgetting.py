"""A person who asks to be forgotten is nowhere in Redis or the failure queues any more, and others are untouched."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from celery import Celery

from consumers import topology
from notifier.celery import from_settings
from notifier.domain.batch import Batch
from notifier.domain.delivery import Attempt, Delivery, Mailbox, RecipientRef, Status
from notifier.domain.event import Event
from notifier.domain.ids import delivery_id, recipient_key
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, decode_parked
from notifier.domain.recipient import Recipient
from notifier.domain.rule import Channel, Collecting, Priority, Window
from notifier.domain.suppression import bounced
from notifier.errors import NotFound
from notifier.failures.operator import Operator
from notifier.failures.publishing import opened
from notifier.failures.redrive import Redrive
from notifier.forgetting import Forgetting, Found
from notifier.settings import Settings
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.claims import claim_request
from notifier.storage.connection import connect
from notifier.storage.digests import Digests, Item
from notifier.storage.forgetting import Traces
from notifier.storage.ledger import Claimed, Done, Ledger, Record
from notifier.storage.parked import ParkedFilter, ParkedIndex
from notifier.storage.recipients import Recipients
from notifier.storage.records import masked
from notifier.storage.store import Store
from notifier.storage.suppressions import Suppressions
from tests.integration.storage.making import fail, raw_dump, take
from tests.servers.redis import RedisServer

KEY = "a-secret-key-for-tests-of-more-than-32-characters"
JANE, BOB = Mailbox(address="Jane@example.org"), Mailbox(address="bob@example.org")
BY_ID = RecipientRef(recipient="user-7")


@dataclass
class Kept:
    """Everything the service keeps, on real servers."""

    app: Celery
    store: Store

    def __post_init__(self) -> None:
        cipher = Cipher(KEY)
        self.ledger = Ledger(self.store)
        self.index = ParkedIndex(self.store)
        self.suppressions = Suppressions(self.store)
        self.recipients = Recipients(self.store, cipher)
        self.digests = Digests(self.store, cipher)
        operator = Operator(self.app, self.ledger, self.index, self.suppressions, self.recipients)
        self.forgetting = Forgetting(Traces(self.store, cipher), self.recipients, self.suppressions, operator)

    def claimed(self, batch: Batch) -> list[Claimed]:
        requests = [claim_request(batch, delivery) for delivery in batch.deliveries]
        self.ledger.heartbeat("worker-1", 60)
        found = self.ledger.claim(requests, owner="worker-1", lease=60)
        assert all(isinstance(one, Claimed) for one in found)
        return found  # type: ignore[return-value]

    def end(self, batch: Batch, status: Status) -> None:
        """Every delivery was tried once, and the relay's answer quotes the address."""
        for delivery, claim in zip(batch.deliveries, self.claimed(batch), strict=True):
            reply = f"<{delivery.to.address}> said so" if isinstance(delivery.to, Mailbox) else "<jane@example.org> no"
            tried = Attempt(1, time.time(), 0.1, "refused", "smtp_550", reply, "worker-1")
            assert self.ledger.record([Record(delivery.id, claim.fence, status, "because", tried)]) == [True]

    def park(self, batch: Batch) -> None:
        self.end(batch, Status.REFUSED)
        entries = tuple(
            Parked(d.id, "failed-email", Cause.REFUSED, "no", time.time(), destination=masked(d.to))
            for d in batch.deliveries
        )
        with opened(self.app) as publishing:
            publishing.park("failed-email", ParkedBatch(batch, entries))
        self.index.add(entries)

    def statuses(self, batch: Batch) -> list[tuple[str, str]]:
        found = self.ledger.deliveries([delivery.id for delivery in batch.deliveries])
        return [(record.status.value, record.destination) for record in found if record]


@pytest.fixture
def kept(broker_url: str, redis_url: str) -> Iterator[Kept]:
    asyncio.run(topology.apply(broker_url))
    app = Celery("forgetting-test", set_as_current=False)
    app.conf.update(from_settings(Settings(broker_url=broker_url, redis_url=redis_url)))
    store = connect(redis_url)
    yield Kept(app, store)
    store.close()
    app.close()


def batch_to(number: str, *to: Mailbox | RecipientRef, channel: Channel = Channel.EMAIL, key: str = "") -> Batch:
    event = Event(id=number, source="/shop", type="order.placed")
    rule = "order.placed/mail"
    deliveries = [
        Delivery(id=delivery_id("/shop", number, rule, one.identity), event=0, rule=rule, to=one, key=key) for one in to
    ]
    return Batch(channel=channel, priority=Priority.NORMAL, events=[event], deliveries=deliveries)


def test_a_person_is_erased_everywhere_and_their_neighbours_stay(kept: Kept, redis_server: RedisServer) -> None:
    # Given Jane: known by an id, mailed by address and by id, refused beside Bob, waiting for a retry, and in a digest
    kept.recipients.put([Recipient("user-7", "jane@EXAMPLE.org", "Jane"), Recipient("user-8", "bob@example.org")])
    sent, by_id, parked = batch_to("sent", JANE, BOB), batch_to("id", BY_ID), batch_to("parked", JANE, BOB)
    waiting, items = batch_to("waiting", JANE), batch_to("item", JANE, BOB, channel=Collecting.DIGEST)
    kept.end(sent, Status.SENT)
    kept.end(by_id, Status.SENT)
    kept.park(parked)
    kept.end(waiting, Status.DEFERRED)
    kept.end(items, Status.HELD)
    window = Window(after_first=3600)
    kept.digests.collect([Item(delivery, items.events[0], window) for delivery in items.deliveries], time.time())
    kept.suppressions.add(recipient_key(JANE.address), bounced("smtp_550", time.time()))

    # When it is counted, and then she is forgotten by her address in another spelling
    counted = kept.forgetting.look(" jane@example.org")
    assert kept.forgetting.forget("jane@example.org") == counted

    # Then the numbers say what there was
    assert counted == Found(
        key=recipient_key("jane@example.org"),
        recipients=1,
        deliveries=5,
        waiting=2,
        sending=0,
        parked=1,
        windows=1,
        items=1,
        suppressed=True,
    )
    # And nothing tells who she was; that something was sent is still known
    dump = raw_dump(redis_server).casefold()
    assert "jane" not in dump
    assert "j…" not in dump
    assert kept.statuses(sent) == [("sent", "forgotten"), ("sent", "b…@example.org")]
    assert kept.statuses(by_id) == [("sent", "forgotten")]
    # And what waits is dropped when its message comes
    assert kept.statuses(waiting) == [("skipped", "forgotten")]
    (claim,) = kept.ledger.claim([claim_request(waiting, waiting.deliveries[0])], owner="worker-1", lease=60)
    assert claim == Done(Status.SKIPPED)
    # And Bob is where he was: known, parked, in his digest
    assert set(kept.recipients.get_many(["user-7", "user-8"])) == {"user-8"}
    assert set(kept.index.ids(ParkedFilter())) == {parked.deliveries[1].id}
    assert _parked_addresses(kept) == ["bob@example.org"]
    assert kept.digests.count() == 1
    assert kept.statuses(items) == [("skipped", "forgotten"), ("held", "b…@example.org")]
    # And she stays suppressed, by a hash
    assert kept.suppressions.get(recipient_key("jane@example.org")).names == ("bounce",)


def _parked_addresses(kept: Kept) -> list[str]:
    with kept.app.connection_for_read() as connection:
        channel = connection.channel()
        found = []
        while (message := channel.basic_get("failed-email")) is not None:  # type: ignore[attr-defined]
            body = message.body if isinstance(message.body, bytes) else message.body.encode()
            parked = decode_parked(body)
            assert isinstance(parked, ParkedBatch)
            found += [d.to.address for d in parked.batch.deliveries if isinstance(d.to, Mailbox)]
    return found


def test_a_copy_on_another_shelf_that_no_index_knows_is_dropped_with_its_entry(kept: Kept) -> None:
    # Given a parked mail, which another worker has parked once more, elsewhere
    parked = batch_to("parked", JANE)
    kept.park(parked)
    entry = kept.index.get(parked.deliveries[0].id)
    assert entry is not None
    with opened(kept.app) as publishing:
        publishing.park("failed-email-5", ParkedBatch(parked, (entry.at("failed-email-5"),)))

    # When she is forgotten, then neither is left
    assert kept.forgetting.forget(JANE.address).parked == 1
    assert Redrive(kept.app).depths()["failed-email"] == 0


def test_a_person_is_found_by_their_id_too(kept: Kept) -> None:
    # Given somebody known by an id, whom events also named by address
    kept.recipients.put([Recipient("user-7", JANE.address)])
    by_address, by_id = batch_to("address", JANE), batch_to("id", BY_ID)
    kept.end(by_address, Status.SENT)
    kept.end(by_id, Status.SENT)

    # When the id is forgotten, then both are
    found = kept.forgetting.forget("user-7")
    assert (found.recipients, found.deliveries) == (1, 2)
    assert kept.statuses(by_address) == kept.statuses(by_id) == [("sent", "forgotten")]


def test_looking_changes_nothing_and_nobody_known_is_said_so(kept: Kept) -> None:
    kept.park(batch_to("parked", JANE))

    assert kept.forgetting.look(JANE.address) == kept.forgetting.look(JANE.address)
    assert not kept.forgetting.look("stranger@example.org").anything
    with pytest.raises(NotFound):
        kept.forgetting.forget("stranger@example.org")
    assert kept.forgetting.forget(JANE.address).parked == 1
    with pytest.raises(NotFound):
        kept.forgetting.forget(JANE.address)
    assert Redrive(kept.app).depths()["failed-email"] == 0


def test_who_wants_no_more_mail_is_suppressed_also_when_nothing_is_known(kept: Kept) -> None:
    # Given a mail that is queued and was never tried, so that no index knows whose it is
    kept.forgetting.forget(JANE.address, suppress=True)

    # When a worker takes it, then it is told not to send it
    (claim,) = kept.claimed(batch_to("queued", JANE))
    assert claim.suppressed.names == ("forgotten",)


def test_a_window_that_is_being_closed_is_forgotten_too(kept: Kept) -> None:
    # Given a digest that was closed, and whose sweeper died before it published it; and one of the same kind, open
    window = Window(after_first=1)
    first, second = (batch_to(name, JANE, channel=Collecting.DIGEST) for name in ("first", "second"))
    for batch in (first, second):
        kept.end(batch, Status.HELD)
    kept.digests.collect([Item(first.deliveries[0], first.events[0], window)], 1000.0)
    (ref,) = take(kept.digests, 2000.0)
    kept.digests.close([ref], 2000.0, fail)
    kept.digests.collect([Item(second.deliveries[0], second.events[0], window)], 3000.0)
    assert (kept.forgetting.look(JANE.address).windows, kept.forgetting.look(JANE.address).items) == (2, 2)

    # When she is forgotten, then neither is left
    kept.forgetting.forget(JANE.address)
    assert kept.digests.count() == 0
    assert kept.digests.close([ref], 4000.0, fail) == []


def test_a_window_that_a_release_before_opened_is_forgotten_too(kept: Kept) -> None:
    # Given items whose markers do not say which group their window is of, as a release before wrote them
    window = Window(after_first=3600)
    batch = batch_to("item", JANE, BOB, channel=Collecting.DIGEST)
    kept.end(batch, Status.HELD)
    kept.digests.collect([Item(delivery, batch.events[0], window) for delivery in batch.deliveries], time.time())
    for delivery in batch.deliveries:
        kept.store.client.set(keys.digest_item(delivery.id), delivery.id)

    # When Jane is forgotten
    assert kept.forgetting.forget(JANE.address).windows == 1

    # Then Bob's window is the only one
    assert kept.digests.count() == 1
    assert kept.forgetting.look(BOB.address).windows == 1
