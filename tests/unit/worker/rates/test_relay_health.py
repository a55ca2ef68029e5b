"""The note of paused relays and senders that operators read: written when something changed, and only then."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from notifier.engine.relay_breaker import RelayState
from notifier.engine.sender_pauses import PausedSender
from notifier.errors import StorageUnavailable
from notifier.worker.rates.relay_health import MOST_SHOWN, RelayPolicy
from tests.unit.worker.doubles import Broker

UP = RelayState("mx:25", up=True, reason="", since=1.0)
DOWN = RelayState("mx:25", up=False, reason="refused", since=2.0, probe_at=7.0)


class Bench:
    """A policy on relays that are as a test says."""

    def __init__(self) -> None:
        self.states: tuple[RelayState, ...] = (UP,)
        self.senders: tuple[PausedSender, ...] = ()
        self.written: list[tuple[list[str], list[str], int]] = []
        self.fails = 0
        self.followed = 0
        email: Any = SimpleNamespace(relay_states=lambda: self.states, paused_senders=lambda: self.senders)
        adaptive: Any = SimpleNamespace(follow=self.follow)
        board: Any = self
        self.policy = RelayPolicy(email, Broker(), board, "w1", adaptive)

    def follow(self) -> None:
        self.followed += 1

    def write(self, owner: str, paused: Any, up: Any, refused: Any) -> None:
        if self.fails:
            self.fails -= 1
            raise StorageUnavailable("away")
        assert owner == "w1"
        self.written.append(([one.relay for one in paused], list(up), len(refused)))


def test_nothing_is_written_while_nothing_changes_and_rates_are_followed() -> None:
    bench = Bench()

    for _ in range(3):
        bench.policy.sent()

    assert (bench.written, bench.followed) == ([], 3)


def test_a_relay_that_is_paused_and_back_is_written_each_time_once() -> None:
    bench = Bench()
    for states in ((DOWN,), (DOWN,), (UP,)):
        bench.states = states
        bench.policy.sent()

    assert bench.written == [(["mx:25"], [], 0), ([], ["mx:25"], 0)]


def test_what_could_not_be_told_is_told_after_the_next_batch() -> None:
    bench = Bench()
    bench.states, bench.fails = (DOWN,), 1

    bench.policy.sent()
    assert bench.written == []
    bench.policy.sent()

    assert bench.written == [(["mx:25"], [], 0)]


def test_of_very_many_senders_some_are_shown() -> None:
    bench = Bench()
    bench.senders = tuple(PausedSender("mx:25", f"{n}@x.org", "no", 1.0, 2.0) for n in range(MOST_SHOWN + 5))

    bench.policy.sent()

    assert bench.written == [([], ["mx:25"], MOST_SHOWN)]


def test_what_changed_while_it_was_told_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a relay whose reason changes while the board is written, and a batch that ends meanwhile
    bench = Bench()
    bench.states = (DOWN,)
    later = (replace(DOWN, reason="silent"),)
    reasons: list[str] = []

    def slow(owner: str, paused: Any, up: Any, refused: Any) -> None:
        if bench.states == (DOWN,):
            bench.states = later
            bench.policy.sent()
        reasons.extend(one.reason for one in paused)

    monkeypatch.setattr(bench, "write", slow)

    bench.policy.sent()

    # Then the board ends as the relay is, and nobody's older look came last
    assert reasons == ["refused", "silent"]
