"""While Redis or the broker is away, a step is done again, and nothing is counted as a try."""

import logging

import pytest

from notifier.errors import BrokerUnavailable, PublishRejected, StorageUnavailable
from notifier.worker import outage
from notifier.worker.outage import OUTAGE_LIMIT_S, retry_while_down


class Slept:
    """Stands for gevent's sleep: remembers how long somebody would have slept."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> Slept:
    slept = Slept()
    monkeypatch.setattr(outage, "gevent", slept)
    return slept


@pytest.mark.parametrize("error", [StorageUnavailable("a"), BrokerUnavailable("a"), PublishRejected("full")])
def test_a_step_is_done_again_until_it_succeeds_and_both_are_told(
    slept: Slept, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    # Given a server that is away for eight tries
    caplog.set_level(logging.INFO, "notifier")
    left = [error] * 8

    def step() -> str:
        if left:
            raise left.pop()
        return "done"

    assert retry_while_down(step, "do something") == "done"

    # Then the waits grow and the last one repeats, and it is told when it went away and when it came back
    assert slept.seconds == [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0]
    assert [record.getMessage() for record in caplog.records] == ["dependency.away", "dependency.back"]


def test_what_succeeds_at_once_waits_for_nothing(slept: Slept) -> None:
    assert retry_while_down(lambda: 7, "do something") == 7
    assert slept.seconds == []


def test_after_the_limit_the_last_error_leaves(slept: Slept) -> None:
    tries: list[int] = []

    def step() -> None:
        tries.append(1)
        raise StorageUnavailable(f"try {len(tries)}")

    with pytest.raises(StorageUnavailable, match=f"try {1 + 5 + 150}$"):
        retry_while_down(step, "do something")

    assert OUTAGE_LIMIT_S <= sum(slept.seconds) <= OUTAGE_LIMIT_S + 2


def test_a_bug_is_no_outage(slept: Slept) -> None:
    def step() -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        retry_while_down(step, "do something")

    assert slept.seconds == []
