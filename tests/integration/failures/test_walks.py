"""Walks over a failure queue of a real RabbitMQ: in windows, each message once, and nothing lost when a walker dies."""

from collections.abc import Iterator, Sequence

import pytest
from celery import Celery

from consumers.topology import apply_topology
from notifier.celery import from_settings
from notifier.domain.batch import Batch
from notifier.domain.delivery import Delivery, Mailbox
from notifier.domain.event import Event
from notifier.domain.outcome import Cause
from notifier.domain.parked import Parked, ParkedBatch, ParkedEvent
from notifier.domain.rule import Channel, Priority
from notifier.failures.gathering import gathered
from notifier.failures.publishing import Publishing, opened
from notifier.failures.redrive import Redrive
from notifier.failures.visitors import Keep
from notifier.settings import Settings
from tests.servers.patience import poll
from tests.servers.rabbitmq import RabbitMQ

QUEUE = "failed-email"
MESSAGES = 120
"""More than a first window, and the one after it."""


@pytest.fixture
def app(broker_url: str) -> Iterator[Celery]:
    apply_topology(broker_url)
    app = Celery("walks", set_as_current=False)
    app.conf.update(from_settings(Settings(broker_url=broker_url)))
    with opened(app) as publishing:
        for number in range(MESSAGES):
            publishing.park(QUEUE, message(number))
    yield app
    app.close()


def message(number: int) -> ParkedBatch:
    event = Event(id=str(number), source="/tests", type="a.b", data={"n": number})
    delivery = Delivery(id=f"dlv_{number:03}", event=0, rule="a.b/mail", to=Mailbox(address="ann@example.com"))
    batch = Batch(channel=Channel.EMAIL, priority=Priority.NORMAL, events=[event], deliveries=[delivery])
    return ParkedBatch(batch, (Parked(delivery.id, QUEUE, Cause.REFUSED, "no", 1.0),))


class Sends:
    """A visitor that sends what it chose, until its process dies."""

    def __init__(self, chosen: set[str], dies_at: int = 0) -> None:
        self.windows: list[list[str]] = []
        self._chosen = chosen
        self._dies_at = dies_at

    def visit(self, parked: Parked) -> bool:
        return parked.id in self._chosen

    def take(self, channel: Publishing, messages: Sequence[ParkedBatch | ParkedEvent]) -> None:
        self.windows.append([entry.id for message in messages for entry in message.parked])
        for batch in gathered(message.batch for message in messages if isinstance(message, ParkedBatch)):
            channel.send(batch)
        if len(self.windows) == self._dies_at:
            channel.confirm()
            channel.connection.collect()
            raise SystemExit


IDS = [f"dlv_{number:03}" for number in range(MESSAGES)]


def test_a_walk_takes_windows_and_meets_each_message_once_in_order(app: Celery) -> None:
    # When every third is taken
    wanted = IDS[::3]
    visitor = Sends(set(wanted))
    walked = Redrive(app).walk(QUEUE, visitor)

    # Then each was met once, and what was taken, was in order, and in more than one window
    assert [entry.id for entry in walked.entries] == IDS
    assert [identity for window in visitor.windows for identity in window] == wanted
    assert len(visitor.windows) > 1
    # And the others lie there as they were, in order
    assert [entry.id for entry in Redrive(app).walk(QUEUE, Keep()).entries] == [i for i in IDS if i not in wanted]


def test_a_walker_that_dies_loses_nothing_and_repeats_no_more_than_its_window(
    app: Celery, rabbitmq: RabbitMQ, broker_url: str
) -> None:
    # Given a walk that takes every second message and dies in its second window, after it has sent that
    wanted = set(IDS[::2])
    first = Sends(wanted, dies_at=2)
    with pytest.raises(SystemExit):
        Redrive(app).walk(QUEUE, first)
    done, repeated = first.windows
    poll(lambda: rabbitmq.queue_depths(broker_url)[QUEUE] >= MESSAGES - len(done), "what it had is back")

    # When another one walks
    second = Sends(wanted)
    walked = Redrive(app).walk(QUEUE, second)

    # Then it takes what was not done, the window of the other again, and nothing else a second time
    assert sorted({i for window in second.windows for i in window}) == sorted(wanted - set(done))
    assert set(repeated) <= wanted - set(done)
    # And what nobody chose is still there
    assert {entry.id for entry in walked.entries} == set(IDS) - set(done)
    assert {entry.id for entry in Redrive(app).walk(QUEUE, Keep()).entries} == set(IDS) - wanted
