"""What a message of a failure queue says, whoever wrote it."""

import time
import zlib
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.domain.outcome import Cause
from notifier.domain.parked import COPY_LIMIT, PARKED_HEADER, Parked, ParkedBatch, ParkedEvent, as_message
from notifier.domain.rule import Channel, Priority
from notifier.failures.reading import read_message, why_dead

HEADERS = {"task": "notifier.email", "id": "17"}


def a_batch() -> Batch:
    event = Event(id="1", source="/shop", type="order.placed", tenant="acme", data={"n": 1})
    delivery = Delivery(id="dlv_1", event=0, rule="order.placed/mail", to=Mailbox(address="kim@example.org"), attempt=3)
    return Batch(channel=Channel.EMAIL, priority=Priority.HIGH, events=[event], deliveries=[delivery])


def task_body(batch: dict[str, Any]) -> bytes:
    return orjson.dumps([[batch], {}, {}])


def death(reason: str, queue: str = "email-high") -> dict[str, Any]:
    return {"x-death": [{"reason": reason, "queue": queue}], "x-first-death-reason": "expired"}


@pytest.mark.parametrize(
    ("reason", "queue", "cause"),
    [
        ("delivery_limit", "failed-email", Cause.POISON),
        ("rejected", "failed-email", Cause.POISON),
        ("rejected", "failed-intake", Cause.TOO_LARGE),
        ("expired", "failed-email", Cause.DEAD_LETTERED),
        ("maxlen", "failed-webhook", Cause.DEAD_LETTERED),
        ("something new", "failed-email", Cause.POISON),
    ],
)
def test_why_a_letter_is_dead(reason: str, queue: str, cause: Cause) -> None:
    assert why_dead(queue, b"", death(reason))[0] is cause


def test_a_retry_that_waited_in_the_broker_is_judged_by_its_last_death() -> None:
    # Given a retry: it "expired" in the delay queues, as all retries do, and then workers returned it too often
    deaths = [{"reason": "delivery_limit", "queue": "email-high"}, {"reason": "expired", "queue": "celery_delayed_3"}]

    # Then it is poison, and not something whose time ended
    assert why_dead("failed-email", b"", {"x-death": deaths, "x-first-death-reason": "expired"})[0] is Cause.POISON


@pytest.mark.parametrize("compressed", [False, True])
def test_a_dead_batch_becomes_an_entry_for_each_delivery(compressed: bool) -> None:
    body = task_body(a_batch().encode())
    headers = {**HEADERS, **death("delivery_limit")}
    if compressed:
        body, headers = zlib.compress(body), {**headers, "compression": "application/x-gzip"}

    message = read_message("failed-email", body, headers, "application/json")

    assert isinstance(message, ParkedBatch)
    (entry,) = message.parked
    assert (entry.id, entry.cause, entry.tenant, entry.destination, entry.attempts) == (
        "dlv_1",
        Cause.POISON,
        "acme",
        "k…@example.org",
        3,
    )


@given(
    body=st.binary(max_size=200),
    headers=st.dictionaries(
        st.sampled_from(["compression", "task", "x-death", PARKED_HEADER]),
        st.one_of(st.none(), st.text(max_size=20), st.integers(), st.lists(st.text(max_size=5), max_size=2)),
    ),
)
def test_any_bytes_and_headers_become_an_entry(body: bytes, headers: dict[str, Any]) -> None:
    message = read_message("failed-email", body, headers, "")
    assert message.parked


def test_a_message_too_large_to_be_wrapped_travels_as_it_came_and_reads_the_same() -> None:
    # Given an event larger than a copy may be
    entry = Parked("raw_1", "failed-intake", Cause.TOO_LARGE, "too large", time.time())
    parked = ParkedEvent((entry,), b"x" * (COPY_LIMIT + 1), "text/plain", {"a": "b"})

    # When it is parked and read again
    message = as_message(parked)

    # Then nothing was added to its bytes, and the same entry comes out
    assert message.body is parked.body
    assert read_message("failed-intake", message.body, message.headers, message.content_type) == ParkedEvent(
        (entry,), parked.body, "text/plain", {"a": "b", "x-notifier-cause": "too_large"}
    )


def test_a_later_release_reads_what_an_earlier_one_could_not() -> None:
    # Given a batch that was parked as nothing anybody can read
    entry = Parked("raw_1", "failed-email", Cause.POISON, "a task message nobody can read", time.time())
    wrapped = as_message(ParkedEvent((entry,), task_body(a_batch().encode()), "application/json", HEADERS))

    # When the index is written anew by a release that reads it, then its deliveries can be replayed
    read = read_message("failed-email", wrapped.body, wrapped.headers, wrapped.content_type, reread=True)
    assert isinstance(read, ParkedBatch)
    assert [one.id for one in read.parked] == ["dlv_1"]
    # And nobody else sees another id than the one that is listed
    assert read_message("failed-email", wrapped.body, wrapped.headers, wrapped.content_type).parked == (entry,)
