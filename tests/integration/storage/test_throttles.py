"""Recipient throttles: never more than allowed in any window, and the same answer however often it is asked."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.delivery import Delivery
from notifier.domain.rule import Throttle
from notifier.storage.connection import connect
from notifier.storage.store import Store
from notifier.storage.throttles import REMEMBERED_S, Question, Throttles
from tests.integration.storage.making import delivery, event
from tests.servers.redis import RedisServer

HOURLY = Throttle(at_most=2, per=3600)
START = 1_800_000_000.0


def planned(number: int, at: float = 0, to: str = "jane@example.org", key: str = "") -> Delivery:
    return delivery(event(number), to, queued=START + at, key=key)


def asked(throttles: Throttles, *deliveries: Delivery, throttle: Throttle = HOURLY) -> list[bool]:
    return throttles.admit([Question(one, throttle) for one in deliveries])


def test_a_recipient_gets_so_many_and_others_have_their_own_allowance(store: Store) -> None:
    # Given
    throttles = Throttles(store)

    # When four deliveries for one person and one for another come in one batch
    before = store.round_trips
    answers = asked(throttles, *(planned(i, at=i) for i in range(4)), planned(9, to="john@example.org"))

    # Then the first two go, and the other person's; all of it in one round trip but for loading the script
    assert answers == [True, True, False, False, True]
    assert store.round_trips - before <= 2
    # And an hour after the first there is room again, for one
    assert asked(throttles, planned(5, at=3600), planned(6, at=3600.5)) == [True, False]


def test_deliveries_with_another_key_are_counted_apart(store: Store) -> None:
    throttles = Throttles(store)

    assert asked(throttles, *(planned(i, key="web-1") for i in range(3))) == [True, True, False]
    assert asked(throttles, *(planned(i, key="web-2") for i in range(3, 6))) == [True, True, False]


def test_what_was_admitted_stays_admitted_and_what_was_dropped_stays_dropped(store: Store) -> None:
    # Given a batch that was asked about
    throttles = Throttles(store)
    batch = [planned(i, at=i * 600) for i in range(5)]
    first = asked(throttles, *batch)

    # When it comes back, whole, in another order and one by one, also after later ones
    asked(throttles, planned(9, at=7200))

    # Then every answer is the same
    assert asked(throttles, *batch) == first
    assert asked(throttles, *reversed(batch)) == first[::-1]
    assert [asked(throttles, one)[0] for one in batch] == first


def test_a_flood_leaves_nothing_but_what_was_admitted(store: Store) -> None:
    # When
    asked(Throttles(store), *(planned(i, at=i / 1000) for i in range(500)))

    # Then what was dropped costs no memory, and the rest ends by itself
    (log,) = store.client.scan_iter()
    assert store.client.zcard(log) == 2
    assert 0 < store.client.pttl(log) <= (HOURLY.per + REMEMBERED_S) * 1000


@given(
    times=st.lists(st.integers(0, 600), min_size=1, max_size=60),
    at_most=st.integers(1, 4),
    window=st.integers(1, 120),
)
@settings(max_examples=60, deadline=None)
def test_no_window_holds_more_than_allowed_in_whatever_order_they_come(
    redis_server: RedisServer, times: list[int], at_most: int, window: int
) -> None:
    redis_server.flush()
    store = connect(redis_server.url)
    try:
        # When
        batch = [planned(i, at=at) for i, at in enumerate(times)]
        throttle = Throttle(at_most, window)
        answers = asked(Throttles(store), *batch, throttle=throttle)

        # Then
        sent = sorted(at for at, admitted in zip(times, answers, strict=True) if admitted)
        assert all(later - first >= window for first, later in zip(sent, sent[at_most:], strict=False))
        # And nobody whose whole neighbourhood is free is dropped
        assert answers[0]
        if sorted(times) == times and all(b - a >= window for a, b in pairwise(times)):
            assert all(answers)
    finally:
        store.close()
