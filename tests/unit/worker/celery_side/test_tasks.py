"""Celery's entry points hand each batch to the procedure it is for."""

from types import SimpleNamespace
from typing import Any

import pytest
from celery import current_app

from notifier.domain.batch import task_name
from notifier.domain.rule import Channel, Collecting
from notifier.errors import NotifierError
from notifier.worker.celery_side import tasks


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """What was run: procedure and batch."""
    ran: list[tuple[Any, Any]] = []
    parts = SimpleNamespace(
        dispatch=SimpleNamespace(run="dispatch"),
        collector=SimpleNamespace(run=lambda items: ("collected", items), sweep=lambda: ran.append(("swept", None))),
        coalescer="coalescer",
    )
    monkeypatch.setattr(tasks, "current", lambda: parts)
    monkeypatch.setattr(tasks, "run_guarded", lambda run, batch, _: ran.append((run, batch)))
    return ran


@pytest.mark.parametrize("kind", list(Channel))
def test_a_batch_of_a_channel_goes_to_the_procedure(kind: Channel, guarded: list[Any]) -> None:
    current_app.tasks[task_name(kind)]({"v": 1})

    assert guarded == [("dispatch", {"v": 1})]


def test_a_batch_of_items_is_collected(guarded: list[Any]) -> None:
    current_app.tasks[task_name(Collecting.DIGEST)]({"v": 1})

    ((run, batch),) = guarded
    assert (run("raw", None), batch) == (("collected", "raw"), {"v": 1})


def test_a_sweep_closes_what_is_due(guarded: list[Any]) -> None:
    tasks.sweep()

    assert guarded == [("swept", None)]


def test_outside_a_worker_a_task_says_what_to_start() -> None:
    with pytest.raises(NotifierError, match="notifier worker"):
        tasks.sweep()
