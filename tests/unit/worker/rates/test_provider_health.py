"""The note of paused providers that operators read."""

from types import SimpleNamespace
from typing import Any

from notifier.channels.http_api.health import PausedProvider
from notifier.errors import StorageUnavailable
from notifier.worker.rates.provider_health import ProviderPolicy
from tests.unit.worker.doubles import Broker

SMS = PausedProvider("sms", "http_401: 401 Unauthorized", 1.0, 61.0)
ROOM = PausedProvider("room", "NOTIFIER_CHANNEL_ROOM_URL is not set", 1.0, 0.0)


class Bench:
    """A policy on providers that are as a test says."""

    def __init__(self) -> None:
        self.paused: tuple[PausedProvider, ...] = ()
        self.written: list[tuple[list[str], list[str]]] = []
        self.fails = 0
        channel: Any = SimpleNamespace(paused=lambda: self.paused)
        board: Any = self
        self.policy = ProviderPolicy(channel, Broker(), board, "w1")

    def write_providers(self, owner: str, paused: Any, resumed: Any) -> None:
        if self.fails:
            self.fails -= 1
            raise StorageUnavailable("away")
        assert {one.owner for one in paused} <= {owner}
        self.written.append(([one.provider for one in paused], list(resumed)))


def test_providers_that_are_paused_and_back_are_written_each_time_once() -> None:
    bench = Bench()
    for paused in ((), (SMS, ROOM), (SMS, ROOM), (ROOM,), ()):
        bench.paused = paused
        bench.policy.sent()

    assert bench.written == [(["sms", "room"], []), (["room"], ["sms"]), ([], ["room"])]


def test_what_could_not_be_told_is_told_after_the_next_batch() -> None:
    bench = Bench()
    bench.paused, bench.fails = (SMS,), 1

    bench.policy.sent()
    assert bench.written == []
    bench.policy.sent()

    assert bench.written == [(["sms"], [])]
