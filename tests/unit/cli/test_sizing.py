"""``notifier size``: numbers as people write them, and an answer for people or for scripts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from notifier.cli.application import application


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(application, ["size", *arguments])


def test_a_person_reads_how_many_of_what() -> None:
    done = _run("--per-day", "100M")
    assert done.exit_code == 0
    first, *table = done.stdout.splitlines()
    assert first.startswith("1,157 deliveries a second on average; in the busiest hour 3,472")
    assert [line.split()[0] for line in table[1:5]] == ["workers", "consumers", "RabbitMQ", "Redis"]
    assert "a Cluster of" in table[4]


def test_a_script_reads_the_same_and_what_it_was_reckoned_with() -> None:
    done = _run("--per-day", "8.64M", "--peak", "1", "--webhooks", "0.2", "--recipients", "10", "--json")
    told = json.loads(done.stdout)
    assert told["needs"]["deliveries_s"] == pytest.approx(100)
    assert told["needs"]["events_s"] == pytest.approx(10)
    assert told["load"]["webhooks"] == 0.2
    assert told["costs"]["cpu_ms"]["email"]["worker"] > 0


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--per-day", "lots", "'lots' is not a number above 0, such as 250000 or 5M"),
        ("--per-day", "0", "is not a number above 0"),
        ("--peak", "0.5", "is not a number of 1 or more"),
        ("--recipients", "-1", "is not a number of 1 or more"),
        ("--webhooks", "120%", "'120%' is not a share, such as 20% or 0.2"),
        ("--failed", "2k", "is not a share"),
        ("--keep-sent", "a week", "'a week' is not a time, such as 90m or 7d"),
    ],
)
def test_a_number_that_is_none_is_told_with_its_option(option: str, value: str, said: str) -> None:
    options = {"--per-day": "1M", option: value}
    done = _run(*(word for pair in options.items() for word in pair))
    assert done.exit_code == 2
    assert f"Invalid value for {option}: " in done.stderr
    assert said in done.stderr
