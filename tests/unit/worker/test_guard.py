"""Whatever ends a task's body, Celery hears one of three words: done, hand back, dead-letter (traps T3, T5, T8)."""

import asyncio
import json
from typing import Any

import gevent
import pytest
from celery.exceptions import Reject

from consumers.batching import Batcher
from notifier.domain.batch import Batch
from notifier.errors import BrokerUnavailable, PublishRejected, StorageUnavailable
from notifier.worker.guard import run_guarded
from tests.unit.consumers.factories import event, planned


def wire() -> Any:
    """A batch as a task's argument."""
    batcher = Batcher()
    batcher.add(event(), [planned(event())])
    (batch,) = batcher.batches()
    return json.loads(batch.body)


def test_a_batch_that_ends_well_is_acknowledged() -> None:
    seen: list[Batch] = []

    run_guarded(seen.append, wire())

    assert [batch.queue for batch in seen] == ["email-normal"]


@pytest.mark.parametrize(
    "error",
    [
        # what a dependency that is away looks like
        StorageUnavailable("away"),
        BrokerUnavailable("away"),
        PublishRejected("full"),
        # a mistake of ours
        ValueError("oops"),
        # what is no Exception: under gevent each of these left its message unacknowledged for half an hour
        gevent.Timeout(1),
        gevent.GreenletExit(),
        asyncio.CancelledError(),
        SystemExit(1),
        KeyboardInterrupt(),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_ends_a_batch_early_hands_it_back(error: BaseException) -> None:
    def run(_: Batch) -> None:
        raise error

    with pytest.raises(Reject) as rejected:
        run_guarded(run, wire())

    assert vars(rejected.value)["requeue"] is True


@pytest.mark.parametrize("argument", [None, 7, {}, {"v": 2}, [], "batch"])
def test_what_nobody_can_read_is_dead_lettered(argument: Any) -> None:
    with pytest.raises(Reject) as rejected:
        run_guarded(lambda _: None, argument)

    assert vars(rejected.value)["requeue"] is False
