"""Deliveries left behind by their batch: what follows them, and how long a worker that stops waits for them."""

import threading
from typing import Any

import gevent
import pytest

from notifier.channels.port import Ready, Work
from notifier.domain.delivery import Status
from notifier.domain.outcome import Cause, Park
from notifier.domain.retry import RetryIn
from notifier.domain.rule import Channel, Rule
from notifier.errors import BrokerUnavailable
from notifier.storage.claims import claim_request
from notifier.storage.ledger import Claimed
from notifier.worker.batch.recorder import Receipt
from notifier.worker.batch.sender import Settled
from notifier.worker.decision import Decision
from notifier.worker.endpoints.stragglers import Stragglers
from notifier.worker.in_flight import InFlight
from tests.unit.worker.doubles import EVENT, batch_of

RULE = Rule("a/b", "a", Channel.WEBHOOK, template="t", category="", transactional=True)


def late_one(name: str, follow: Any = None) -> Settled:
    batch = batch_of(name, endpoint="ep_1")
    ready = Ready(Work(claim_request(batch, batch.deliveries[0]), EVENT, RULE, Claimed(1, 0)), None, "")
    return Settled(ready, Decision(Status.DEFERRED, "timeout", None, follow=follow))


@pytest.fixture
def in_flight() -> InFlight:
    return InFlight(100)


def turn() -> None:
    """One turn of the hub: the greenlet that follows has run then."""
    gevent.sleep(0)
    gevent.sleep(0)


def test_they_count_as_under_way_until_their_record_is_written(in_flight: InFlight) -> None:
    stragglers = Stragglers(in_flight)
    followed: list[Settled] = []
    late = stragglers.leaving(followed.append)(late_one("dlv_a"))
    stragglers.add(1)
    assert (in_flight.left_behind, stragglers.wait(0)) == (1, False)

    late.tick("dlv_a", True)
    turn()

    assert (in_flight.left_behind, stragglers.wait(0)) == (0, True)
    assert [one.work.delivery.id for one in followed] == ["dlv_a"]


def test_what_somebody_else_has_taken_over_is_followed_by_nobody_here(in_flight: InFlight) -> None:
    stragglers = Stragglers(in_flight)
    followed: list[Settled] = []
    late = stragglers.leaving(followed.append)(late_one("dlv_a"))
    stragglers.add(1)

    late.tick("dlv_a", False)
    turn()

    assert (followed, in_flight.left_behind) == ([], 0)


def test_its_copy_is_the_retry_and_a_park_follows(in_flight: InFlight) -> None:
    stragglers = Stragglers(in_flight)
    followed: list[Any] = []
    park = Park(Cause.EXHAUSTED, "no", "")
    for made in (late_one("dlv_a", RetryIn(30)), late_one("dlv_b", park)):
        stragglers.add(1)
        stragglers.leaving(followed.append)(made).tick("", True)
    turn()

    assert [one.decision.follow for one in followed] == [None, park]


def test_what_cannot_be_followed_is_told_and_stops_nobody(
    in_flight: InFlight, caplog: pytest.LogCaptureFixture
) -> None:
    stragglers = Stragglers(in_flight)
    followed: list[str] = []

    def follow(settled: Settled) -> None:
        if settled.work.delivery.id == "dlv_a":
            raise BrokerUnavailable("away for five minutes")
        followed.append(settled.work.delivery.id)

    for name in ("dlv_a", "dlv_b"):
        stragglers.add(1)
        stragglers.leaving(follow)(late_one(name)).tick("", True)
    turn()

    assert followed == ["dlv_b"]
    assert [record.getMessage() for record in caplog.records] == ["straggler.unfollowed"]


def test_one_that_ended_before_it_was_counted_leaves_nothing_to_wait_for(in_flight: InFlight) -> None:
    # Given a record that is written before the hub has heard that it was left behind
    stragglers = Stragglers(in_flight)
    stragglers.leaving(lambda _: None)(late_one("dlv_a")).tick("", True)

    stragglers.add(1)

    assert (in_flight.left_behind, stragglers.wait(0)) == (0, True)


def test_its_receipt_can_be_made_in_the_engines_thread(in_flight: InFlight) -> None:
    stragglers = Stragglers(in_flight)
    made: list[Receipt] = []
    thread = threading.Thread(target=lambda: made.append(stragglers.leaving(lambda _: None)(late_one("dlv_a"))))
    thread.start()
    thread.join()

    assert len(made) == 1
