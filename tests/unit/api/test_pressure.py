"""Which events the API lets in while work queues are full."""

from collections.abc import Mapping, Sequence

import pytest

from notifier.api.pressure import AdmittingIntake
from notifier.api.problems import translate
from notifier.domain.event import Event
from notifier.errors import Overloaded, StorageUnavailable

QUEUES = {"news": {"email-low"}, "order": {"email-low", "email-high"}, "nothing": set[str]()}


def event(kind: str) -> Event:
    return Event(id="1", source="/s", type=kind)


class Ways:
    """A way in, what is full, and how often that was asked."""

    def __init__(self, *full: str) -> None:
        self.full: Mapping[str, int] = dict.fromkeys(full, 70_000)
        self.accepted: list[Event] = []
        self.urgent: list[bool] = []
        self.asked = 0
        self.now = 0.0
        self.is_redis_away = False
        self.intake = AdmittingIntake(self, self.ask, lambda e: QUEUES[e.type], clock=lambda: self.now)

    def accept(self, events: Sequence[Event], *, urgent: bool = False) -> None:
        self.accepted += events
        self.urgent += [urgent] * len(events)

    def ask(self) -> Mapping[str, int]:
        self.asked += 1
        if self.is_redis_away:
            raise StorageUnavailable("Redis is away")
        return self.full


def test_an_event_whose_queues_are_all_full_is_refused_with_the_time_to_come_back() -> None:
    ways = Ways("email-low")
    with pytest.raises(Overloaded, match="70,000 tasks wait in email-low") as refused:
        ways.intake.accept([event("order"), event("news")])
    assert ways.accepted == []
    problem = translate(refused.value)
    assert problem.status_code == 503
    assert int((problem.headers or {})["Retry-After"]) > 0


@pytest.mark.parametrize("kind", ["order", "nothing"])
def test_an_event_that_can_go_somewhere_or_nowhere_at_all_is_let_in(kind: str) -> None:
    ways = Ways("email-low")
    ways.intake.accept([event(kind)])
    assert [e.type for e in ways.accepted] == [kind]


def test_what_is_let_in_stays_as_urgent_as_it_came() -> None:
    ways = Ways()
    ways.intake.accept([event("order")], urgent=True)
    ways.intake.accept([event("news")])
    assert ways.urgent == [True, False]


def test_it_is_asked_once_a_second_and_notices_when_there_is_room() -> None:
    # Given a full queue
    ways = Ways("email-low")
    for _ in range(3):
        with pytest.raises(Overloaded):
            ways.intake.accept([event("news")])
    assert ways.asked == 1
    # When there is room and a second has passed
    ways.full, ways.now = {}, 1.0
    ways.intake.accept([event("news")])
    assert len(ways.accepted) == 1


def test_without_redis_events_are_taken_in() -> None:
    ways = Ways("email-low")
    ways.is_redis_away = True
    ways.intake.accept([event("news")])
    assert len(ways.accepted) == 1
