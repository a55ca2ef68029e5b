"""Starting roles: which command the process becomes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from notifier.cli.application import application
from notifier.cli.processes import worker_queues
from notifier.domain.rule import LANES
from notifier.process import settings


class _Became(BaseException):
    """Leaves instead of the process that exec would have replaced."""


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The command a verb became; exec is the process's own end, so a test can only look at what it is asked."""
    commands: list[str] = []

    def execv(path: str, command: list[str]) -> Any:
        commands.extend(command)
        raise _Became

    monkeypatch.setattr(os, "execv", execv)
    for name in list(os.environ):
        if name.startswith("NOTIFIER_"):
            monkeypatch.delenv(name)
    settings.cache_clear()
    yield commands
    settings.cache_clear()


def _run(*arguments: str, **environment: str) -> None:
    with pytest.raises(_Became):
        CliRunner().invoke(application, list(arguments), env=environment, catch_exceptions=False)


@pytest.mark.parametrize(
    ("text", "lanes"),
    [
        ("", LANES),
        ("high", ("email-high", "webhook-high", "http_api-high")),
        ("email", ("email-high", "email-normal", "email-low")),
        ("digest", ("digest",)),
        ("email-high, webhook-low", ("email-high", "webhook-low")),
        ("high,email-high", ("email-high", "webhook-high", "http_api-high")),
    ],
)
def test_lanes_are_named_by_priority_channel_or_name(text: str, lanes: tuple[str, ...]) -> None:
    assert worker_queues(text) == lanes


@pytest.mark.parametrize("text", ["hgih", "email-urgent", "failed-email", "high,nothing"])
def test_a_queue_that_does_not_exist_is_refused_with_the_ones_that_do(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        worker_queues(text)

    assert "email-high" in capsys.readouterr().err


def test_worker_becomes_a_stock_celery_worker_with_a_name_of_its_own(became: list[str]) -> None:
    _run("worker", "--queues", "high")
    first = list(became)
    became.clear()
    _run("worker", "--queues", "high")

    assert first[:6] == [sys.executable, "-m", "celery", "-A", "notifier", "worker"]
    assert first[first.index("-P") + 1] == "gevent"
    assert first[first.index("-Q") + 1] == "email-high,webhook-high,http_api-high"
    names = [command[command.index("-n") + 1] for command in (first, became)]
    assert all(name.startswith("high-") and name.endswith("@%h") for name in names)
    assert names[0] != names[1]


def test_options_for_celery_are_passed_on_and_win(became: list[str]) -> None:
    _run("worker", "--concurrency=3", "-E", NOTIFIER_WORKER_CONCURRENCY="9")

    assert became[-2:] == ["--concurrency=3", "-E"]
    assert "9" not in became


def test_beat_and_consume_become_their_own_programs(became: list[str]) -> None:
    _run("beat")
    assert became[:6] == [sys.executable, "-m", "celery", "-A", "notifier", "beat"]
    became.clear()
    _run("consume")
    assert became == [sys.executable, "-m", "consumers"]


def test_a_wrong_setting_is_explained_before_another_program_starts(became: list[str]) -> None:
    done = CliRunner().invoke(application, ["worker"], env={"NOTIFIER_GRACE": "soon", "NOTIFIER_NO_SUCH": "1"})

    assert done.exit_code == 2
    assert "NOTIFIER_GRACE" in done.stderr
    assert "NOTIFIER_NO_SUCH" in done.stderr
    assert became == []
