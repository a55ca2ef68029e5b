"""Batches: nothing is lost or doubled, no limit is passed, and what is assembled by hand is what `Batch` reads."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from consumers.batching import Batcher
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, DigestItems, EndpointRef, Mailbox, RecipientRef
from notifier.domain.encoding import encode_delivery
from notifier.domain.rule import Channel, Priority
from notifier.rules.planner import Planned
from tests.unit.consumers.factories import event, planned, rule

CHANNELS = (Channel.EMAIL, Channel.WEBHOOK)
LANES = [rule(f"order.placed/{c}-{p}", channel=c, priority=p) for c in CHANNELS for p in Priority]


def decoded(batcher: Batcher) -> list[Batch]:
    return [Batch.decode(orjson.loads(batch.body)) for batch in batcher.batches()]


def test_one_delivery_is_a_batch_of_one() -> None:
    # Given an idle system
    batcher = Batcher()
    placed = event(data={"total": 3})

    # When one delivery is added
    entry = planned(placed)
    batcher.add(placed, [entry])

    # Then the batch holds it and its event, exactly
    (batch,) = decoded(batcher)
    assert batch.events == [placed]
    assert batch.deliveries == [entry.delivery]
    assert list(batcher.batches()) == []


def test_an_event_travels_once_for_all_its_deliveries() -> None:
    # Given two events with three recipients each
    batcher = Batcher()
    for number in (1, 2):
        placed = event(number)
        batcher.add(placed, [planned(placed, f"{name}@example.org") for name in "abc"])

    # When they are batched, then the batch carries two events, and deliveries point at theirs
    (batch,) = decoded(batcher)
    assert [e.id for e in batch.events] == ["1", "2"]
    assert [d.event for d in batch.deliveries] == [0, 0, 0, 1, 1, 1]


def test_a_batch_is_cut_at_its_number_of_deliveries() -> None:
    batcher = Batcher(max_deliveries=50)
    placed = event()
    batcher.add(placed, [planned(placed, f"p{n}@example.org") for n in range(101)])
    assert [len(batch.deliveries) for batch in decoded(batcher)] == [50, 50, 1]


def test_a_batch_is_cut_before_it_grows_over_its_bytes() -> None:
    # Given events of about 30 kB, of which three fit
    batcher = Batcher(max_bytes=100_000)
    for number in range(7):
        placed = event(number, data="x" * 30_000)
        batcher.add(placed, [planned(placed)])

    # When they are batched
    batches = list(batcher.batches())

    # Then no batch is larger than the limit
    assert [batch.deliveries for batch in batches] == [3, 3, 1]
    assert all(len(batch.body) <= 100_000 for batch in batches)


def test_an_event_larger_than_the_limit_travels_alone() -> None:
    batcher = Batcher(max_bytes=4096)
    for number in (1, 2):
        placed = event(number, data="x" * 10_000)
        batcher.add(placed, [planned(placed)])
    assert [batch.deliveries for batch in batcher.batches()] == [1, 1]


def test_a_large_event_is_copied_for_full_batches_only() -> None:
    # Given an event larger than a batch may be, for 120 people
    batcher = Batcher(max_deliveries=50, max_bytes=4096)
    placed = event(data="x" * 10_000)
    batcher.add(placed, [planned(placed, f"p{n}@example.org") for n in range(120)])

    # Then it travels three times, not 120 times
    assert [batch.deliveries for batch in batcher.batches()] == [50, 50, 20]


def test_what_a_rule_leaves_out_does_not_travel_for_it_and_does_for_others() -> None:
    # Given two rules of one event, of which one leaves out the list that names its recipients
    placed = event(data={"title": "News", "people": ["a@example.org", "b@example.org"]})
    news, report = rule("order.placed/news", omit=("data.people",)), rule("order.placed/report")
    batcher = Batcher()
    batcher.add(placed, [planned(placed, person, news) for person in ("a@example.org", "b@example.org")])
    batcher.add(placed, [planned(placed, "boss@example.org", report)])

    # When they are batched, then each delivery finds its own version of the event
    (batch,) = decoded(batcher)
    found = {d.rule: batch.events[d.event] for d in batch.deliveries}
    assert len(batch.events) == 2
    assert found["order.placed/news"].data == {"title": "News"}
    assert found["order.placed/report"] == placed
    assert {one.key for one in batch.events} == {placed.key}


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20), st.integers(0, 300)), max_size=60),
    st.integers(1, 7),
    st.integers(200, 5000),
)
def test_every_delivery_is_in_exactly_one_batch_of_its_lane(
    wanted: list[tuple[int, int, int]], most: int, size: int
) -> None:
    # Given any mixture of lanes and events
    batcher = Batcher(most, size)
    entries: dict[str, Planned] = {}
    for place, (lane, number, length) in enumerate(wanted):
        placed = event(number, data="x" * length)
        entry = planned(placed, f"p{place}@example.org", LANES[lane])
        entries[entry.delivery.id] = entry
        batcher.add(placed, [entry])

    # When it is batched
    batches = decoded(batcher)

    # Then nothing is missing, doubled, in a wrong lane or with a wrong event, and batches are small enough
    seen = [delivery.id for batch in batches for delivery in batch.deliveries]
    assert sorted(seen) == sorted(entries)
    for batch in batches:
        assert len(batch.deliveries) <= most
        for delivery in batch.deliveries:
            lane_rule = entries[delivery.id].rule
            assert (batch.channel, batch.priority) == (lane_rule.channel, lane_rule.priority)
            assert delivery.id == planned(batch.events[delivery.event], delivery.to.address, lane_rule).delivery.id


MAILBOXES = st.builds(Mailbox, address=st.text(min_size=3), name=st.text(), locale=st.text(), recipient=st.text())
DESTINATIONS = st.one_of(
    MAILBOXES,
    st.builds(EndpointRef, endpoint=st.text(min_size=1, max_size=64)),
    st.builds(RecipientRef, recipient=st.text("ab", min_size=1)),
)
DIGESTS = st.builds(DigestItems, items=st.lists(st.integers(0, 9)), total=st.integers(0, 99), key=st.text())


@given(st.builds(Delivery, id=st.text(), rule=st.text(), to=DESTINATIONS, digest=st.none() | DIGESTS))
def test_a_delivery_is_written_as_pydantic_would_write_it(delivery: Delivery) -> None:
    # When any delivery is written at any place
    written = orjson.loads(encode_delivery(delivery, 7))
    # Then it is what pydantic writes without what has its default value
    assert written == {**delivery.model_dump(mode="json", exclude_defaults=True), "event": 7}


def test_tenants_in_a_shard_travel_in_batches_of_their_own() -> None:
    # Given a crowded tenant and another one
    batcher = Batcher(shard=lambda channel, priority, tenant: 2 if tenant == "acme" else 0)
    for number, tenant in enumerate(("acme", "beta", "acme", "gamma")):
        placed = event(number, tenant=tenant)
        batcher.add(placed, [planned(placed)])

    # When they are batched
    encoded = list(batcher.batches())

    # Then each batch says its queue, to whoever publishes it and to whoever reads it
    read = [Batch.decode(orjson.loads(batch.body)) for batch in encoded]
    assert [batch.queue for batch in encoded] == [batch.queue for batch in read]
    tenants = {batch.queue.removeprefix("email-"): [e.tenant for e in batch.events] for batch in read}
    assert list(tenants.values()) == [["acme", "acme"], ["beta", "gamma"]]
    assert [queue.endswith("-shard2") for queue in tenants] == [True, False]
