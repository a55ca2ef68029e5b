"""What ended is noted for the history, by each call that ends a delivery, and is taken away only once it was read."""

from __future__ import annotations

from notifier.domain.delivery import Delivery, Status
from notifier.domain.ids import recipient_key
from notifier.storage import keys
from notifier.storage.cipher import Cipher
from notifier.storage.commands import Operation, command
from notifier.storage.connection import connect
from notifier.storage.feed import TOGETHER, Backlog, Bounds, Ended, Feed, Waiting, feed_calls, person_letters
from notifier.storage.forgetting import Traces
from notifier.storage.ledger import Claimed, Ledger, Record, Retention
from notifier.storage.store import Store
from tests.integration.storage.making import OWNER, attempt, delivery, event, registration, request
from tests.servers.redis import RedisServer

JANE = person_letters(recipient_key("jane@example.org"))
DAY = 86400.0
BOUNDS = Bounds(DAY, 100_000)


def _ledger(store: Store, *, has_history: bool = True) -> Ledger:
    return Ledger(store, Retention(history_most=100_000 if has_history else 0))


def _claimed(ledger: Ledger, made: Delivery) -> Claimed:
    (claim,) = ledger.claim([request(to=made.to.address)], owner=OWNER, lease=60)  # type: ignore[union-attr]
    assert isinstance(claim, Claimed)
    return claim


def _looks(store: Store) -> list[Waiting]:
    return Feed(store).look(settled=0)


def _noted(store: Store) -> set[tuple[str, str]]:
    return {(one.id, one.person) for look in _looks(store) for one in look.ended}


def _run(store: Store, call: str, *words: str | int) -> object:
    def operation() -> Operation[object]:
        (reply,) = yield [command(call, *words)]
        return reply

    return store.run(operation())


def test_a_sent_delivery_is_noted_with_its_person(redis_url: str) -> None:
    # Given
    store, made = connect(redis_url), delivery()
    ledger = _ledger(store)
    claim = _claimed(ledger, made)

    # When
    ledger.record([Record(made.id, claim.fence, Status.SENT, attempt=attempt(), claimed=request())])

    # Then
    assert _noted(store) == {(made.id, JANE)}


def test_a_delivery_that_is_tried_again_is_not_noted(redis_url: str) -> None:
    # Given
    store, made = connect(redis_url), delivery()
    ledger = _ledger(store)
    claim = _claimed(ledger, made)

    # When
    ledger.record([Record(made.id, claim.fence, Status.DEFERRED, claimed=request(), next_try=2e9)])

    # Then
    assert _noted(store) == set()


def test_without_a_history_nothing_is_noted(redis_url: str) -> None:
    # Given
    store, made = connect(redis_url), delivery()
    ledger = _ledger(store, has_history=False)
    ledger.register([registration()])
    claim = _claimed(ledger, made)

    # When
    ledger.record([Record(made.id, claim.fence, Status.SENT, attempt=attempt(), claimed=request())])
    ledger.planned([event().key])

    # Then
    assert _noted(store) == set()
    assert Feed(store).backlog() == Backlog(0, None, 0)


def test_noting_costs_no_round_trip(redis_server: RedisServer) -> None:
    # Given
    redis_server.flush()
    trips = {}
    for has_history in (False, True):
        store = connect(redis_server.url)
        ledger = _ledger(store, has_history=has_history)
        made = request(event(2 + has_history))
        (claim,) = ledger.claim([made], owner=OWNER, lease=60)
        assert isinstance(claim, Claimed)
        ledger.record([Record("dlv_" + "a" * 26, 1, Status.REFUSED)])
        before = store.round_trips

        # When
        ledger.record([Record(made.delivery.id, claim.fence, Status.REFUSED, "no", claimed=made)])
        trips[has_history] = store.round_trips - before

    # Then: but that of a server that does not know the script yet, which the record before has taught it
    assert trips[True] == trips[False]


def test_events_are_noted_when_they_are_planned(redis_url: str) -> None:
    # Given
    store = connect(redis_url)
    ledger = _ledger(store)
    ledger.register([registration()])

    # When
    ledger.planned([event().key])

    # Then
    assert _noted(store) == {(event().key, "")}


def test_held_deliveries_that_are_skipped_are_noted(redis_url: str) -> None:
    # Given
    store, made = connect(redis_url), delivery()
    ledger = _ledger(store)
    claim = _claimed(ledger, made)
    ledger.record([Record(made.id, claim.fence, Status.HELD, "waits")])

    # When
    ledger.skip([made.id], "nobody wants it")

    # Then
    assert {noted for noted, _ in _noted(store)} == {made.id}


def test_what_is_forgotten_is_noted_again(redis_url: str) -> None:
    # Given
    store, made = connect(redis_url), delivery()
    _ledger(store).register([registration()])
    traces = Traces(store, Cipher("k" * 32), retention=Retention(history_most=100_000))

    # When
    traces.erase_deliveries([made.id])

    # Then
    assert {noted for noted, _ in _noted(store)} == {made.id}


def test_removing_takes_nothing_that_came_after_the_look(redis_url: str) -> None:
    # Given
    store = connect(redis_url)
    first, second = Ended("dlv_" + "a" * 26, JANE), Ended("dlv_" + "b" * 23 + "aaa")
    store.run(_feeding(first))
    (look,) = _looks(store)
    store.run(_feeding(second))

    # When: twice, as by a mover that was paused and does not know that another went on
    Feed(store).remove([look])
    Feed(store).remove([look])

    # Then
    assert _noted(store) == {(second.id, "")}
    assert Feed(store).backlog().waiting == 1


def test_what_has_just_ended_is_not_looked_at_yet(redis_url: str) -> None:
    # Given
    store = connect(redis_url)
    store.run(_feeding(Ended("dlv_" + "a" * 26)))

    # When
    found = Feed(store).look(settled=3600)

    # Then
    assert found == []
    assert Feed(store).backlog().waiting == 1


def test_what_waits_longer_than_records_live_is_given_up_and_counted(redis_url: str) -> None:
    # Given: entries of 2001, as nobody has moved anything since
    store = connect(redis_url)
    new = Ended("dlv_" + "a" * 26)
    (script,) = feed_calls([new], BOUNDS)
    stream = str(script.words[3])
    _run(store, "SET", f"{stream}:total", 2)
    _run(store, "XADD", stream, "1000000000000-0", "t", 0, "e", "dold1,dold2 person")

    # When
    store.run(_feeding(new))

    # Then
    assert _noted(store) == {(new.id, "")}
    backlog = Feed(store).backlog()
    assert (backlog.waiting, backlog.given_up) == (1, 2)


def test_of_too_much_that_waits_the_oldest_is_given_up_and_counted(redis_url: str) -> None:
    # Given: a third more than a stream takes, all in one stream
    store = connect(redis_url)
    most = 2 * TOGETHER * keys.ENDED_PARTS
    ended = [Ended(f"dlv_{number:023d}aaa") for number in range(3 * TOGETHER)]

    # When
    for start in range(0, len(ended), 100):
        store.run(_feeding(*ended[start : start + 100], bounds=Bounds(DAY, most)))

    # Then
    backlog = Feed(store).backlog()
    assert (backlog.waiting, backlog.given_up) == (2 * TOGETHER, TOGETHER)
    assert min(noted for noted, _ in _noted(store)) == ended[TOGETHER].id


def test_small_entries_make_room_for_large_ones(redis_url: str) -> None:
    # Given: a stream full of entries of one delivery each
    store = connect(redis_url)
    bounds = Bounds(DAY, 2 * TOGETHER * keys.ENDED_PARTS)
    for number in range(2 * TOGETHER):
        store.run(_feeding(Ended(f"dlv_{number:023d}aaa"), bounds=bounds))

    # When
    for number in range(12):
        store.run(_feeding(*(Ended(f"dlv_z{number:02d}{n:020d}aaa") for n in range(TOGETHER)), bounds=bounds))

    # Then
    assert Feed(store).backlog().waiting == 2 * TOGETHER


def test_one_look_is_no_larger_than_it_must_be(redis_url: str) -> None:
    # Given
    store = connect(redis_url)
    for number in range(5):
        store.run(_feeding(*(Ended(f"dlv_{number:03d}{n:020d}aaa") for n in range(TOGETHER - 1))))

    # When
    (look,) = _looks(store)

    # Then: two entries; what is left is found by the next one
    assert len(look.ended) == 2 * (TOGETHER - 1)
    Feed(store).remove([look])
    assert Feed(store).backlog().waiting == 3 * (TOGETHER - 1)


def _feeding(*ended: Ended, bounds: Bounds = Bounds(86400.0, 100_000)) -> Operation[None]:  # noqa: B008 - a value
    yield feed_calls(ended, bounds)
