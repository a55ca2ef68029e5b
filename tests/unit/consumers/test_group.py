"""Which messages of a group are acknowledged with it, and what is told of it."""

import logging
from typing import Any

import pika
import pytest

from consumers.group import Conflict, Fanout, Group, Received, report
from notifier import metrics
from notifier.domain.event_status import Other
from notifier.domain.identity import Identity
from notifier.rules.planner import Plan
from tests.unit.consumers.factories import event


def received(tag: int) -> Received:
    return Received(tag, pika.BasicProperties(), b"{}", 10.0)


def number(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(f"notifier_{name}", labels) or 0.0


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    return [(record.getMessage(), getattr(record, "fields", {})) for record in caplog.records]


def test_a_group_settles_what_ends_with_it() -> None:
    messages = [received(tag) for tag in range(1, 5)]
    group = Group(messages)
    group.fanouts.append(Fanout(messages[1], event(), iter(())))
    group.oversized.append(messages[2])
    group.aside.append((messages[3], "email-low"))

    # A fan-out ends with its last chunk, and what is oversized is rejected; what is put aside is settled here
    assert (group.settled, group.elsewhere) == ([1, 4], {2})


def test_a_group_that_ended_well_is_one_line_and_its_numbers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "notifier")
    before = [number("events_received_total", via="amqp"), number("events_duplicate_total")]
    group = Group([received(1), received(2), received(3)])
    group.plans.append(Plan(event(), ()))
    group.duplicates, group.deliveries, group.batches = 1, 5, 2
    group.aside.append((group.messages[2], "email-low"))

    report(group, 12.5)

    ((message, fields),) = told(caplog)
    assert message == "event.received"
    assert {name: fields[name] for name in ("events", "deliveries", "batches", "duplicates", "aside", "seconds")} == {
        "events": 2,
        "deliveries": 5,
        "batches": 2,
        "duplicates": 1,
        "aside": 1,
        "seconds": 2.5,
    }
    after = [number("events_received_total", via="amqp"), number("events_duplicate_total")]
    assert [one - other for one, other in zip(after, before, strict=True)] == [2, 1]


def test_a_chunk_of_a_fan_out_counts_no_event_until_the_last_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "notifier")
    before = number("events_received_total", via="amqp")

    report(Group([], plans=[Plan(event(), ())]), 1.0)

    assert [message for message, _ in told(caplog)] == ["event.chunk"]
    assert number("events_received_total", via="amqp") == before


def test_a_group_in_which_nothing_was_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "notifier")

    report(Group([]), 1.0)

    assert caplog.records == []


def test_two_events_under_one_id_are_told_with_both_types(caplog: pytest.LogCaptureFixture) -> None:
    group = Group([received(1)])
    group.conflicts.append(Conflict(Identity.of(event()), Other("order.cancelled", 1.0)))

    report(group, 11.0)

    fields = next(fields for message, fields in told(caplog) if message == "event.conflict")
    assert (fields["first_type"], fields["type"], fields["id"]) == ("order.cancelled", "order.placed", "1")
