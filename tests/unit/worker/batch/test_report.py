"""What a finished batch tells: numbers for Prometheus, a line for the batch and one for each try that was not sent."""

import json
import logging
import time
from typing import Any

import pytest

from notifier.channels.port import Ready, Withheld, Work
from notifier.domain.delivery import Attempt, Status
from notifier.domain.outcome import Cause, Park
from notifier.domain.rule import Channel, Rule
from notifier.metrics import REGISTRY
from notifier.storage.claims import claim_request
from notifier.storage.ledger import Claimed
from notifier.worker.batch.claims import Claims
from notifier.worker.batch.report import report, report_late
from notifier.worker.batch.sender import Settled
from notifier.worker.decision import Decision
from tests.unit.worker.doubles import EVENT, batch_of

RULE = Rule("order.shipped/mail", "order.shipped", Channel.EMAIL, template="t", category="", transactional=True)


def number(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def settled(name: str, status: Status, *, follow: Any = None, queued: float = 0.0, tries: int = 1) -> Settled:
    batch = batch_of(name, queued=queued)
    work = Work(claim_request(batch, batch.deliveries[0]), EVENT, RULE, Claimed(1, 0))
    attempt = Attempt(tries, time.time(), 0.5, status, "smtp_450", "", "w1")
    return Settled(Ready(work, None, "hash"), Decision(status, "why", attempt, follow=follow))


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    return [(record.getMessage(), getattr(record, "fields", {})) for record in caplog.records]


def test_a_batch_is_counted_by_status_and_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "notifier")
    names = [("sent", 2.0), ("deferred", 1.0), ("expired", 1.0)]
    before = [number("notifier_deliveries_total", channel="email", outcome=status) for status, _ in names]
    batch = batch_of("a", "b", "c", "d")
    ended = [settled("a", Status.SENT), settled("b", Status.SENT), settled("c", Status.DEFERRED)]

    report(batch, Claims(), ended, [Withheld(ended[0].work, Status.EXPIRED, "too late")])

    after = [number("notifier_deliveries_total", channel="email", outcome=status) for status, _ in names]
    assert [one - other for one, other in zip(after, before, strict=True)] == [grown for _, grown in names]
    told = lines(caplog)
    assert [fields["delivery"] for message, fields in told if message == "delivery.attempted"] == ["c"]
    (of_batch,) = [fields for message, fields in told if message == "batch.delivered"]
    assert of_batch["statuses"] == {"sent": 2, "deferred": 1, "expired": 1}
    json.dumps(of_batch)


def test_what_was_parked_is_counted_by_cause_whoever_parked_it() -> None:
    def parked() -> list[float]:
        return [
            number("notifier_parked_total", channel="email", cause=cause) for cause in ("exhausted", "render_failed")
        ] + [number("notifier_render_failures_total", channel="email")]

    before = parked()
    exhausted = settled("a", Status.EXHAUSTED, follow=Park(Cause.EXHAUSTED, "no", ""))
    withheld = Withheld(exhausted.work, Status.REFUSED, "no", Park(Cause.RENDER_FAILED, "no", ""))

    report(batch_of("a", "b"), Claims(), [exhausted], [withheld])

    assert [one - other for one, other in zip(parked(), before, strict=True)] == [1, 1, 1]


def test_the_wait_is_of_first_tries_and_the_whole_time_of_what_was_sent() -> None:
    labels = {"channel": "email", "priority": "normal"}

    def counts() -> list[float]:
        return [number(f"notifier_{name}_count", **labels) for name in ("queue_seconds", "latency_seconds")]

    before = counts()
    queued = time.time() - 3
    report(
        batch_of("a", "b", "c"),
        Claims(),
        [
            settled("a", Status.SENT, queued=queued),
            settled("b", Status.SENT, queued=queued, tries=2),
            settled("c", Status.DEFERRED, queued=queued),
            settled("d", Status.SENT),
        ],
        [],
    )

    assert [one - other for one, other in zip(counts(), before, strict=True)] == [2, 2]


def test_one_that_was_left_behind_is_told_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "notifier")
    before = number("notifier_deliveries_total", channel="email", outcome="exhausted")

    report_late(batch_of("a"), settled("a", Status.EXHAUSTED, follow=Park(Cause.EXHAUSTED, "no", "")))

    assert number("notifier_deliveries_total", channel="email", outcome="exhausted") - before == 1
    assert [message for message, _ in lines(caplog)] == ["delivery.attempted"]
