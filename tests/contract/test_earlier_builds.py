"""Messages of earlier builds are read as they were meant: during a rolling upgrade both builds are at work.

`earlier_builds/<commit>.json` has what consumers and workers of that build published, byte for byte: tasks of each kind
and a parked delivery. A build whose messages nobody need read any more is one release old; then its file may go.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kombu.message import Message
from kombu.serialization import register_json

from notifier.domain.parked import ParkedBatch, decode_parked
from notifier.domain.waiting import RawBatch
from notifier.worker.admission import Admission
from notifier.worker.celery_side.coalescer import Coalescer
from notifier.worker.celery_side.guard import run_guarded
from notifier.worker.celery_side.receiving import RejectUnreadable, use_fast_json
from notifier.worker.celery_side.tasks import digest  # noqa: F401 - registers every task

BUILDS = sorted((Path(__file__).parent / "earlier_builds").glob("*.json"))
MESSAGES = [
    pytest.param(message, id=f"{build.stem}-{message['name']}")
    for build in BUILDS
    for message in json.loads(build.read_text(encoding="utf-8"))
]
TASKS = [one for one in MESSAGES if "task" in one.values[0]["headers"]]  # type: ignore[index]
PARKED = [one for one in MESSAGES if one not in TASKS]


@pytest.fixture
def fast_json() -> Iterator[None]:
    """Kombu reads JSON as in a worker; it is one for the whole process, so it is put back."""
    use_fast_json()
    yield
    register_json()


@pytest.mark.parametrize("message", TASKS)
@pytest.mark.usefixtures("fast_json")
def test_a_task_of_an_earlier_build_runs_from_its_queue_with_its_deliveries(message: dict[str, Any]) -> None:
    # Given a task as it came from the broker, to a worker that gives Celery what it found in it
    given: list[Any] = []
    consumer = SimpleNamespace(
        create_task_handler=lambda: lambda one: given.append(one.payload), connection_errors=(), channel_errors=()
    )
    RejectUnreadable(consumer)
    consumer.create_task_handler()(
        Message(
            message["body"].encode(),
            content_type="application/json",
            content_encoding="utf-8",
            headers=message["headers"],
            accept={"application/json"},
        )
    )
    [[[wire], keywords, _]] = given
    ran: list[RawBatch] = []

    # When its turn has come
    run_guarded(lambda batch, _: ran.append(batch), wire, Coalescer(Admission(100)))

    # Then it runs from its queue, and is what was published
    (batch,) = ran
    assert (batch.queue, keywords) == (message["queue"], {})
    decoded = batch.decode()
    assert [one.id for one in decoded.deliveries] == message["deliveries"]
    written = json.loads(message["body"])[0][0]
    assert decoded.encode()["deliveries"] == written["deliveries"]
    assert decoded.events[0].data == written["events"][0]["data"]


@pytest.mark.parametrize("message", TASKS)
def test_a_worker_of_this_build_has_its_task(message: dict[str, Any]) -> None:
    from notifier.celery import app

    assert message["headers"]["task"] in app.tasks


@pytest.mark.parametrize("message", PARKED)
def test_what_an_earlier_build_parked_can_be_listed_and_replayed(message: dict[str, Any]) -> None:
    parked = decode_parked(message["body"].encode())

    assert isinstance(parked, ParkedBatch)
    assert [(one.id, one.cause, one.code) for one in parked.parked] == [("dlv_a", "refused", "smtp_550")]
    assert [one.id for one in parked.batch.deliveries] == message["deliveries"]


def test_builds_of_both_kinds_are_there() -> None:
    assert len(BUILDS) >= 2
    assert len(TASKS) == 5 * len(BUILDS)
    assert len(PARKED) == len(BUILDS)
