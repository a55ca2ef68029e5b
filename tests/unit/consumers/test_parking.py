"""Events that can never be planned are parked as they came, with the reason."""

import orjson
import pika
import pytest

from consumers.group import Conflict
from consumers.parking import conflict_note, parked_message, partial_plan, refused_event, unplanned
from notifier.domain.event_status import Other
from notifier.domain.identity import Identity
from notifier.domain.outcome import Cause
from notifier.domain.parked import ParkedEvent
from notifier.domain.topology import FAILED_INTAKE, PARKED_EXCHANGE, shelf
from notifier.errors import InvalidEvent, MalformedEvent
from notifier.failures.reading import read_message
from notifier.rules.planner import Plan, PlanProblem
from tests.unit.consumers.factories import event, received, structured

WIRE = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed", "data": {"a": 1}}
NOW = 1000.0


@pytest.mark.parametrize(
    ("error", "cause", "reason"),
    [
        (MalformedEvent("no type"), Cause(MalformedEvent.cause), "no type"),
        (RuntimeError("nobody foresaw this"), Cause.POISON, "RuntimeError: nobody foresaw this"),
    ],
)
def test_the_reason_is_the_errors_and_what_nobody_foresaw_is_poison(
    error: Exception, cause: Cause, reason: str
) -> None:
    parked = refused_event(received(*structured(WIRE)), event(), error, NOW)

    (entry,) = parked.parked
    assert (entry.queue, entry.cause, entry.reason, entry.parked_at) == (FAILED_INTAKE, cause, reason, NOW)
    assert (entry.id, entry.event_type) == (event().key, "order.placed")
    assert isinstance(error, InvalidEvent) is (cause is not Cause.POISON)


def test_what_could_not_be_decoded_says_who_it_is_as_far_as_it_can_be_found() -> None:
    broken = received(*structured(orjson.dumps({**WIRE, "data_base64": "?"})))

    (entry,) = refused_event(broken, None, MalformedEvent("both"), NOW).parked

    assert (entry.event_type, entry.event) == ("order.placed", event().key)
    (nobody,) = refused_event(received(*structured(b"\xff")), None, MalformedEvent("no JSON"), NOW).parked
    assert nobody.event == ""


def test_what_is_wrong_beside_what_goes_is_one_entry_with_every_reason() -> None:
    plan = Plan(
        event(), (), problems=(PlanProblem("r1", 0, "no address"), PlanProblem("r2", None, "bad")), more_problems=3
    )

    (entry,) = partial_plan(received(*structured(WIRE)), plan, NOW).parked

    lines = entry.reason.split("\n")
    assert entry.cause is Cause.PLANNING
    assert len(lines) == 3
    assert "no address" in lines[0]
    assert lines[2] == "and 3 more"


def test_the_message_goes_to_its_failure_queue_and_can_be_read_again_as_it_came() -> None:
    properties, body = structured(WIRE)
    properties.headers = {"x": "kept"}
    parked = refused_event(received(properties, body), event(), MalformedEvent("no"), NOW)

    message, again = parked_message(parked), parked_message(parked)

    assert (message.exchange, message.routing_key, message.properties.delivery_mode) == (
        PARKED_EXCHANGE,
        shelf(FAILED_INTAKE, event().key),
        2,
    )
    assert parked.parked[0].place == message.routing_key
    assert message.properties.message_id != again.properties.message_id
    read = read_message(FAILED_INTAKE, message.body, message.properties.headers, message.properties.content_type)
    assert isinstance(read, ParkedEvent)
    assert (read.parked[0].id, read.body, read.headers["x"]) == (parked.parked[0].id, body, "kept")


def test_the_ledger_is_told_of_those_that_say_which_event_they_are() -> None:
    known = refused_event(received(*structured(WIRE)), event(), MalformedEvent("no"), NOW)
    nobody = refused_event(received(pika.BasicProperties(), b"\xff"), None, MalformedEvent("no"), NOW)

    assert [one.fingerprint for one in unplanned(known, event())] == [event().fingerprint]
    assert unplanned(nobody, None) == []


def test_the_publisher_of_the_first_event_is_told_of_the_other_ones_type() -> None:
    note = conflict_note(Conflict(Identity.of(event(type="x" * 300)), Other("order.placed", 1.0)))

    assert "of type " + "x" * 100 + ", had other content" in note
