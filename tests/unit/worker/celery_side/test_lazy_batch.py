"""Batches wait for their turn as bytes; what is read then is what would have been read on arrival."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gevent
import orjson
import pytest
from celery.exceptions import Reject
from hypothesis import given
from hypothesis import strategies as st
from kombu.message import Message
from kombu.serialization import register_json

from notifier.domain.batch import MAX_WAITING, Batch
from notifier.domain.delivery import Delivery, EndpointRef
from notifier.domain.encoding import EncodedBatch
from notifier.domain.event import Event
from notifier.domain.rule import Channel, Priority
from notifier.domain.task_message import BATCH_HEADER, TaskMessage, task_message
from notifier.worker.admission import Admission
from notifier.worker.celery_side.coalescer import Coalescer
from notifier.worker.celery_side.guard import run_guarded
from notifier.worker.celery_side.lazy_batch import LazyBatch, lazy_batch
from notifier.worker.celery_side.receiving import RejectUnreadable, read_batch, use_fast_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(alphabet=st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["event", "deliveries", "a"]), inner),
    max_leaves=8,
)


def batch_of(count: int, data: object = None, shard: int = 0) -> Batch:
    return Batch(
        channel=Channel.WEBHOOK,
        priority=Priority.NORMAL,
        shard=shard,
        events=[Event(id="1", source="/tests", type="a.b", data=data)],
        deliveries=[
            Delivery(id=f"dlv_{n}", event=0, rule="a.b/hook", to=EndpointRef(endpoint="e")) for n in range(count)
        ],
    )


def task_of(batch: Batch) -> TaskMessage:
    """As a consumer writes it."""
    body = orjson.dumps(batch.encode())
    task = task_message(
        EncodedBatch(batch.channel, batch.priority, len(batch.deliveries), body, batch.shard), "consumer-1@host"
    )
    assert "compression" not in task.headers
    return task


def waiting(task: TaskMessage) -> LazyBatch:
    """What Celery gets as the argument."""
    shaped = lazy_batch(task.headers[BATCH_HEADER], task.body, read_batch)
    assert shaped is not None
    [[argument], keywords, embedded] = shaped
    assert (keywords, embedded) == ({}, {})
    assert isinstance(argument, LazyBatch)
    return argument


@given(count=st.integers(1, 5), data=json_values, shard=st.integers(0, 4))
def test_what_waited_is_read_as_it_was_written(count: int, data: object, shard: int) -> None:
    batch = batch_of(count, data, shard)
    argument = waiting(task_of(batch))

    assert (argument.queue, argument.deliveries) == (batch.queue, count)
    assert Batch.decode(argument.read()) == batch


def test_a_message_of_many_that_were_held_counts_as_many_in_its_lane() -> None:
    # Given as many deliveries as wait in one message
    argument = waiting(task_of(batch_of(MAX_WAITING)))
    assert argument.deliveries == MAX_WAITING

    # When it runs in a worker that has room for them, then nothing else of its queue is let in beside it
    coalescer, beside = Coalescer(Admission(MAX_WAITING)), list[Batch]()

    def run(*_: object) -> None:
        waits = gevent.spawn(
            run_guarded, lambda batch, _: beside.append(batch.decode()), waiting(task_of(batch_of(1))), coalescer
        )
        gevent.idle()
        assert beside == []
        waits.kill()

    run_guarded(run, argument, coalescer)


def test_a_batch_that_waited_runs_when_its_turn_has_come() -> None:
    ran: list[Batch] = []

    run_guarded(lambda batch, _: ran.append(batch.decode()), waiting(task_of(batch_of(2))), Coalescer(Admission(100)))

    assert ran == [batch_of(2)]


@pytest.fixture
def fast_json() -> Iterator[None]:
    """Kombu reads JSON as in a worker; it is one for the whole process, so it is put back."""
    use_fast_json()
    yield
    register_json()


def test_a_batch_that_was_read_no_longer_takes_the_memory_of_its_message(fast_json: None) -> None:
    # Given a worker's consumer, and what it keeps of a message until the task has ended
    kept: list[Any] = []
    consumer = SimpleNamespace(create_task_handler=lambda: kept.append, connection_errors=(), channel_errors=())
    RejectUnreadable(consumer)
    tracemalloc.start()
    try:
        task = task_of(batch_of(1, "x" * 60_000))
        before, _ = tracemalloc.get_traced_memory()
        message = arrived(task.headers, task.body)
        del task
        consumer.create_task_handler()(message)
        [[argument], _, _] = message.decode()

        # When the batch is read and has been worked on
        argument.read()

        # Then the message is still there, without its body
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept == [message]
    assert after - before < -40_000


def test_nothing_of_its_content_shows_where_celery_shows_arguments() -> None:
    argument = waiting(task_of(batch_of(2, {"name": "Zoë"})))

    assert repr(argument) == argument.__json__() == "<batch of 2 for webhook-normal>"


@pytest.mark.parametrize(
    "header",
    [
        *(None, 7, b"email-high 2", ["email-high 2"], {}, "", " ", "email-high", "email-high ", "email-high two"),
        *("pigeon-high 2", "email-high-shard9 2", "email-high 0", "email-high -2", "email-high 2.0", "email-high  2"),
        *(f"email-high {MAX_WAITING + 1}", "email-high " + "9" * 5000, "email-high \u0662", "failed-email 2"),
    ],
)
def test_what_no_header_tells_of_is_read_at_once(header: object) -> None:
    assert lazy_batch(header, task_of(batch_of(1)).body, read_batch) is None


@pytest.mark.parametrize("given", [bytes, memoryview, bytes.decode], ids=["bytes", "view", "text"])
def test_the_body_may_be_what_any_of_the_libraries_below_makes_of_it(given: Any) -> None:
    task = task_of(batch_of(2, {"name": "Zoë"}))

    shaped = lazy_batch(task.headers[BATCH_HEADER], given(task.body), read_batch)

    assert shaped is not None
    assert Batch.decode(shaped[0][0].read()) == batch_of(2, {"name": "Zoë"})


@pytest.mark.usefixtures("fast_json")
@pytest.mark.parametrize("body", [b"", b"{}", b"[[", b"[[{}],{}]", b"7", b"\xff", b"[[{},{}],{},{}]", b"[" * 100_000])
def test_a_header_that_does_not_tell_the_truth_is_found_out_when_the_batch_is_read(body: bytes) -> None:
    # Given a message with a batch's header and another body, in a worker
    given: list[Any] = []
    consumer = SimpleNamespace(
        create_task_handler=lambda: lambda one: given.append(one.payload), connection_errors=(), channel_errors=()
    )
    RejectUnreadable(consumer)
    consumer.create_task_handler()(arrived(task_of(batch_of(1)).headers, body))
    [[[argument], _, _]] = given

    # When its turn has come, then it is dead-lettered
    with pytest.raises(Reject) as rejected:
        run_guarded(lambda batch, _: batch.decode(), argument, Coalescer(Admission(100)))

    assert rejected.value.requeue is False  # type: ignore[attr-defined]


@pytest.mark.parametrize("damage", [b'"deliveries":[', b'"id":"dlv_0",', b'"specversion":'])
def test_what_proves_unreadable_is_dead_lettered(damage: bytes) -> None:
    task = task_of(batch_of(1))
    argument = waiting(replace(task, body=task.body.replace(damage, b"", 1)))

    with pytest.raises(Reject) as rejected:
        run_guarded(lambda batch, _: batch.decode(), argument, Coalescer(Admission(100)))

    assert rejected.value.requeue is False  # type: ignore[attr-defined]


def arrived(headers: dict[str, Any], body: bytes) -> Message:
    """As kombu gives it to a worker."""
    return Message(
        body,
        content_type="application/json",
        content_encoding="utf-8",
        headers=headers,
        accept={"application/json"},
    )
